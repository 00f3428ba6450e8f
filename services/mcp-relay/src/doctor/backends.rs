//! Whether a slave's backends start, and which tools they bring.
