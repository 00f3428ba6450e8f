//! Floods by clients, strangers and slaves: a witness that calls meanwhile keeps 99 % of its calls, and memory, log and
//! audit stream stay within stated bounds. Flooders use other addresses of the loopback network where addresses count.

mod bodies;
mod connections;
mod readers;
mod slaves;
mod witness;
