//! The edges of HTTP and WebSocket: heads that break rules, bodies that are refused, requests on the wrong port, streams
//! that stay open, and readers that stop.

mod heads;
mod open_streams;
mod slaves_port;
mod stopped_readers;
mod uploads;
