//! The macro that declares environment variables. Knows no variable by name.

/// Returns the bytes of an identifier in upper case, for [`crate::variables!`]. `N` is the identifier's length in
/// bytes.
#[doc(hidden)]
pub const fn upper_case<const N: usize>(name: &str) -> [u8; N] {
    let (name, mut upper, mut at) = (name.as_bytes(), [0; N], 0);
    while at < N {
        upper[at] = name[at].to_ascii_uppercase();
        at += 1;
    }
    upper
}

/// Declares environment variables, each once: a table of [`Var`](crate::env::Var) and a struct of [`Setting`](crate::env::Setting).
///
/// ```
/// runtime::variables! {
///     /// The variables.
///     pub const TABLE: Proxy;
///     /// Their texts.
///     struct Settings;
///     web_port = Value("8000"), "Port.";
///     api_key secret = Says("no key"), "Key.";
/// }
/// assert_eq!(TABLE[0].name, "WEB_PORT");
/// ```
///
/// Each field is the variable's name in lower case; `secret`, `in_either_case`, `path` and `path_of_secrets` behind it are methods
/// of [`Var`](crate::env::Var). `Settings::read(&mut reader)` takes the texts from the reader's
/// environment. The crate that calls the macro needs `serde`.
#[macro_export]
macro_rules! variables {
    (
        $(#[$table_doc:meta])* $table_vis:vis const $table:ident: $group:ident;
        $(#[$doc:meta])* $vis:vis struct $settings:ident;
        $($field:ident $($quality:ident)* = $fallback:ident($default:literal), $meaning:literal;)*
    ) => {
        $(#[$table_doc])*
        $table_vis const $table: &[$crate::env::Var] =
            &[$($crate::variables!(@var $group $field $($quality)* = $fallback($default), $meaning)),*];

        $(#[$doc])*
        #[allow(clippy::struct_field_names, reason = "the variables' names")]
        $vis struct $settings {
            $(
                /// The variable of this name, in upper case; the table has its meaning.
                $vis $field: $crate::env::Setting,
            )*
        }

        impl $settings {
            /// Takes the texts from the environment of the reader, whose tables must contain this one.
            $vis fn read(reader: &mut $crate::env::Reader<'_>) -> Self {
                #[derive(Default, ::serde::Deserialize)]
                #[serde(default)]
                struct Texts { $($field: Option<String>,)* }
                let texts: Texts = reader.fill();
                Self { $($field: $crate::env::Setting::new(
                    const { &$crate::variables!(@var $group $field $($quality)* = $fallback($default), $meaning) },
                    texts.$field,
                ),)* }
            }
        }
    };
    (@var $group:ident $field:ident $($quality:ident)* = $fallback:ident($default:literal), $meaning:literal) => {
        $crate::env::Var::new(
            $crate::env::Group::$group,
            {
                const NAME: [u8; stringify!($field).len()] = $crate::env::upper_case(stringify!($field));
                match ::std::str::from_utf8(&NAME) {
                    Ok(name) => name,
                    Err(_) => stringify!($field),
                }
            },
            $crate::env::Fallback::$fallback($default),
            $meaning,
        )$(.$quality())*
    };
}
