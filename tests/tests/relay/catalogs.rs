//! Catalogs in parts, and what a code may take from the proxy: the others go on whatever it sends.

mod flood;
mod limits;
mod parts;
