#!/bin/sh
# Makes the key files that the tests of `key` read, with the real ssh-keygen and openssl.
# Written with OpenSSH 9.2 (newer ones make no DSA keys) and OpenSSL 3.0. The keys guard nothing.
# Usage: ./generate.sh   (replaces everything beside it but itself)
set -eu
cd "$(dirname "$0")"
find . -mindepth 1 ! -name generate.sh ! -name .gitattributes -delete
export LC_ALL=C
pass='correct horse'
keygen() { ssh-keygen -q "$@"; }

# The seven algorithms in OpenSSH's format, with what ssh-keygen shows of each.
mkdir openssh && cd openssh
keygen -t ed25519 -N '' -C 'deploy@desk with spaces' -f ed25519
for bits in 256 384 521; do keygen -t ecdsa -b $bits -N '' -C "deploy@desk" -f ecdsa-p$bits; done
for bits in 2048 3072 4096; do keygen -t rsa -b $bits -N '' -C "deploy@desk" -f rsa-$bits; done
for key in *.pub; do ssh-keygen -lv -f "$key" > "${key%.pub}.art"; done
cd ..

# Each cipher of ssh-keygen. One round, so that a test build is not slow; one file with the default.
mkdir sealed && cd sealed
for cipher in aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr aes128-gcm@openssh.com \
    aes256-gcm@openssh.com chacha20-poly1305@openssh.com 3des-cbc; do
    for key in ed25519 ecdsa-p521 rsa-2048; do
        cp ../openssh/$key $key.$cipher
        keygen -p -a 1 -Z $cipher -P '' -N "$pass" -f $key.$cipher
    done
done
cp ../openssh/ecdsa-p256 ecdsa-p256.default && keygen -p -P '' -N "$pass" -f ecdsa-p256.default
cd ..

# PKCS#1 and SEC 1: by ssh-keygen, and by openssl with each cipher of DEK-Info.
mkdir pem && cd pem
for key in rsa-2048 rsa-4096 ecdsa-p256 ecdsa-p384 ecdsa-p521; do
    cp ../openssh/$key $key && keygen -p -m PEM -P '' -N '' -f $key
    cp ../openssh/$key $key.keygen && keygen -p -m PEM -P '' -N "$pass" -f $key.keygen
    case $key in rsa-*) tool='rsa -traditional' ;; *) tool=ec ;; esac
    for cipher in aes128 aes192 aes256 des3; do
        openssl $tool -in $key -$cipher -passout "pass:$pass" -out $key.$cipher 2>/dev/null
    done
done
# The public point in its short form, and none at all.
openssl ec -in ecdsa-p256 -conv_form compressed -out ecdsa-p256.compressed 2>/dev/null
openssl ec -in ecdsa-p521 -no_public -out ecdsa-p521.alone 2>/dev/null
# What `openssl ecparam -genkey` writes: a block of parameters before the key.
openssl ecparam -name prime256v1 -genkey -out ecdsa-p256.ecparam
ssh-keygen -y -f /dev/stdin < ecdsa-p256.ecparam > ecdsa-p256.ecparam.pub
cd ..

# PKCS#8: by ssh-keygen, and by openssl with each cipher, hash and derivation of PBES2.
mkdir pkcs8 && cd pkcs8
for key in rsa-3072 ecdsa-p256 ecdsa-p384 ecdsa-p521; do
    cp ../openssh/$key $key && keygen -p -m PKCS8 -P '' -N '' -f $key
    cp ../openssh/$key $key.keygen && keygen -p -m PKCS8 -P '' -N "$pass" -f $key.keygen
done
openssl genpkey -algorithm ed25519 -out ed25519
for cipher in aes-128-cbc aes-192-cbc aes-256-cbc des3; do
    for key in ed25519 ecdsa-p256 rsa-3072; do
        openssl pkcs8 -topk8 -v2 $cipher -passout "pass:$pass" -in $key -out $key.$cipher
    done
done
for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
    openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWith$hash -passout "pass:$pass" -in ed25519 -out ed25519.$hash
done
openssl pkcs8 -topk8 -scrypt -passout "pass:$pass" -in ed25519 -out ed25519.scrypt
# The public half of a key that openssl made, as its DER ends: 32 bytes behind a header of 12.
{ printf 'ssh-ed25519 '; { printf '\000\000\000\013ssh-ed25519\000\000\000\040'
  openssl pkey -in ed25519 -pubout -outform DER | tail -c 32; } | base64 -w 0; echo; } > ed25519.pub
cd ..

# A secret number with a leading zero byte, which ssh-keygen leaves out: one key of 256.
mkdir short && cd short
for curve in 256:prime256v1 384:secp384r1; do
    until openssl ecparam -name "${curve#*:}" -genkey -noout -out key.pem
        openssl ec -in key.pem -noout -text 2>/dev/null | sed -n '/^priv:/{n;s/ //g;p}' | grep -q '^00:'; do :; done
    cp key.pem ecdsa-p${curve%:*}.pem
    chmod 600 key.pem && keygen -p -P '' -N '' -f key.pem && mv key.pem ecdsa-p${curve%:*}
    ssh-keygen -y -f ecdsa-p${curve%:*} > ecdsa-p${curve%:*}.pub
done
cd ..

# What is refused.
mkdir refused && cd refused
keygen -t dsa -N '' -C old -f dsa.openssh
cp dsa.openssh dsa.sealed && keygen -p -a 1 -P '' -N "$pass" -f dsa.sealed
cp dsa.openssh dsa.pem && keygen -p -m PEM -P '' -N '' -f dsa.pem
cp dsa.openssh dsa.pkcs8 && keygen -p -m PKCS8 -P '' -N '' -f dsa.pkcs8
keygen -t rsa -b 1024 -N '' -C short -f rsa-1024.openssh
cp rsa-1024.openssh rsa-1024.pem && keygen -p -m PEM -P '' -N '' -f rsa-1024.pem
cp rsa-1024.openssh rsa-1024.pkcs8 && keygen -p -m PKCS8 -P '' -N "$pass" -f rsa-1024.pkcs8
cp ../openssh/ed25519.pub public.openssh
ssh-keygen -e -f ../openssh/rsa-2048.pub > public.rfc4716
ssh-keygen -e -m PEM -f ../openssh/rsa-2048.pub > public.pem
ssh-keygen -e -m PKCS8 -f ../openssh/rsa-2048.pub > public.pkcs8
cp ../openssh/ed25519.pub host.pub
keygen -s ../openssh/ecdsa-p256 -I test -n deploy host.pub && mv host-cert.pub certificate.openssh
openssl req -x509 -key ../pem/rsa-2048 -subj /CN=test -out certificate.x509
for type in x25519 ed448; do openssl genpkey -algorithm $type -out $type; done
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out rsa-pss 2>/dev/null
openssl ecparam -name secp256k1 -genkey -noout -out secp256k1
openssl ecparam -name brainpoolP256r1 -genkey -noout -out brainpool
openssl ec -in ../pem/ecdsa-p256 -param_enc explicit -out explicit.sec1 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in explicit.sec1 -out explicit.pkcs8
openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -passout "pass:$pass" -in ../pkcs8/ed25519 -out pbe-sha1-3des
openssl pkcs8 -topk8 -v2 camellia-256-cbc -passout "pass:$pass" -in ../pkcs8/ed25519 -out camellia.pkcs8
openssl rsa -traditional -in ../pem/rsa-2048 -camellia256 -passout "pass:$pass" -out camellia.pem 2>/dev/null
rm -f ./*.pub
cd ..
