//! The edges of HTTP and WebSocket: heads that break rules, bodies that are refused, requests on the wrong port, and readers
//! that stop.

mod heads;
mod slaves_port;
mod stopped_readers;
mod uploads;
