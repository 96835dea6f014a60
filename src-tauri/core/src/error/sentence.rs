//! The names and arguments of sentences, by which a window says them in its own language.

use std::any::type_name;
use std::collections::{BTreeMap, HashSet};

use super::Explain;

/// What a sentence is filled with: names with texts.
pub type Arguments = BTreeMap<String, String>;

/// One sentence that an error can say, as a catalogue of another language has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Its name: the error's code, unless several sentences share that.
    pub name: &'static str,
    /// The names of its arguments.
    pub arguments: Vec<&'static str>,
    /// Whether another error's sentence stands inside of it.
    pub around: bool,
}

/// All sentences of some types of errors, and of those that they are made of.
#[derive(Debug, Default)]
pub struct Sentences {
    all: Vec<Sentence>,
    types: HashSet<&'static str>,
}

impl Sentences {
    /// Takes in the sentences of a type, once.
    pub fn of<E: Explain>(&mut self) {
        if self.types.insert(type_name::<E>()) {
            E::sentences(self);
        }
    }

    /// Takes in one sentence.
    pub fn add(&mut self, name: &'static str, arguments: &[&'static str], around: bool) {
        self.all.push(Sentence { name, arguments: arguments.to_vec(), around });
    }

    /// What was taken in.
    pub fn all(&self) -> &[Sentence] {
        &self.all
    }
}

/// Joins names for an argument, in signs that every language has: at most three, then how many more.
pub(crate) fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("\"{name}\"")).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} (+{more})", shown.join(", ")),
    }
}

/// Defines an enum of phrases that stand in sentences: each with a stable word, by which another language has its own.
macro_rules! phrases {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal, $phrase:literal;)+ }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $(#[$meta])*
        pub enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl $name {
            /// The stable word for it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(match self {
                    $(Self::$variant => $phrase),+
                })
            }
        }
    };
}
pub(crate) use phrases;

/// Writes down the sentences of an enum of errors: the table from which an [`Explain`] takes code, name and arguments.
///
/// An entry is a variant with the fields that its sentences name, and its code:
///
/// - `Port { port } => "bad-port"`
/// - `Directory { dir = dir.display() } => …`: the field's text, where it is not that of `Display`
/// - `Locked with system = OS => …`: something more than the fields
/// - `TakenOver { id } => "busy" as "change-busy"`: the sentence's own name, where another one has the code
/// - `; through Database(DatabaseError)`: the sentence is the inner error's
/// - `; around Pasted(source: KeyError) {} as "pasted"`: the inner error's sentence stands inside of this one
///
/// `make types` lists all sentences for the interface; its tests then ask `ui/src/messages/pt-BR/errors.json` for `NAME.message`
/// and `NAME.hint`.
#[macro_export]
macro_rules! sentences {
    (@text $value:expr) => { $value.to_string() };
    (@text $field:expr, $value:expr) => { $value.to_string() };
    (@name $code:literal) => { $code };
    (@name $code:literal, $name:literal) => { $name };
    (@code $inner:ident) => { $crate::error::Explain::code($inner) };
    (@code $inner:ident, $code:literal) => {{ let _ = $inner; $code }};
    (
        $(
            $variant:ident
            $(( $only:ident $(= $only_text:expr)? ))?
            $({ $($field:ident $(= $text:expr)?),* $(,)? })?
            $(with $($more:ident = $more_text:expr),+)?
            => $code:literal $(as $name:literal)?
        ),* $(,)?
        $(; through $($through:ident($through_error:ty)),+ $(,)?)?
        $(; around $(
            $around:ident($inner:ident: $inner_error:ty)
            { $($around_field:ident $(= $around_text:expr)?),* }
            $(=> $around_code:literal)? as $around_name:literal
        ),+ $(,)?)?
    ) => {
        fn code(&self) -> &'static str {
            match self {
                $(Self::$variant { .. } => $code,)*
                $($(Self::$through(inner) => $crate::error::Explain::code(inner),)+)?
                $($(Self::$around { $inner, .. } => {
                    let inner: &$inner_error = $inner;
                    $crate::sentences!(@code inner $(, $around_code)?)
                })+)?
            }
        }

        fn sentence(&self) -> &'static str {
            match self {
                $(Self::$variant { .. } => $crate::sentences!(@name $code $(, $name)?),)*
                $($(Self::$through(inner) => $crate::error::Explain::sentence(inner),)+)?
                $($(Self::$around { .. } => $around_name,)+)?
            }
        }

        fn arguments(&self) -> $crate::error::Arguments {
            match self {
                $(Self::$variant { $(0: $only,)? $($($field,)*)? .. } => $crate::error::Arguments::from([
                    $((stringify!($only).to_owned(), $crate::sentences!(@text $only $(, $only_text)?)),)?
                    $($((stringify!($field).to_owned(), $crate::sentences!(@text $field $(, $text)?)),)*)?
                    $($((stringify!($more).to_owned(), $crate::sentences!(@text $more_text)),)+)?
                ]),)*
                $($(Self::$through(inner) => $crate::error::Explain::arguments(inner),)+)?
                $($(Self::$around { $($around_field,)* .. } => $crate::error::Arguments::from([
                    $((stringify!($around_field).to_owned(),
                        $crate::sentences!(@text $around_field $(, $around_text)?)),)*
                ]),)+)?
            }
        }

        fn inner(&self) -> Option<&dyn $crate::error::Explain> {
            match self {
                $(Self::$variant { .. } => None,)*
                $($(Self::$through(inner) => $crate::error::Explain::inner(inner),)+)?
                $($(Self::$around { $inner, .. } => {
                    let inner: &$inner_error = $inner;
                    Some(inner)
                })+)?
            }
        }

        fn sentences(all: &mut $crate::error::Sentences) {
            $(all.add(
                $crate::sentences!(@name $code $(, $name)?),
                &[$(stringify!($only),)? $($(stringify!($field),)*)? $($(stringify!($more),)+)?],
                false,
            );)*
            $($(all.of::<$through_error>();)+)?
            $($(
                all.add($around_name, &[$(stringify!($around_field)),*], true);
                all.of::<$inner_error>();
            )+)?
        }
    };
}
