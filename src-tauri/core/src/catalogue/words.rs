//! Enums that are words in the database, in JSON and on the command line.

/// Defines an enum of words: each is stored, shown and parsed in kebab-case.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        // First, so that an enum can bring attributes of these.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, ts_rs::TS)]
        #[serde(rename_all = "kebab-case")]
        $(#[$doc])*
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word that is stored and shown to programs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::catalogue::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::catalogue::UnknownWord { allowed: &[$($word),+] }),
                }
            }
        }
    };
}
pub(crate) use words;

/// A word is none of those that are allowed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not one of {}", allowed.join(", "))]
pub struct UnknownWord {
    /// The allowed words.
    pub allowed: &'static [&'static str],
}
