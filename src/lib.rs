//! The binary's parts: configuration, roles, the local stack, and the tools for people.

pub mod bench;
pub mod beside;
pub mod catalog;
pub mod chaos;
pub mod client;
pub mod config;
pub mod demo;
pub mod dlq;
pub mod doctor;
pub mod keys;
pub mod load;
pub mod local;
pub mod notices;
pub mod operations;
pub mod progress;
pub mod provision;
pub mod reload;
pub mod replay;
pub mod roles;
pub mod search;
pub mod secrets;
pub mod stock;
pub mod table;
pub mod up;
pub mod verify;
