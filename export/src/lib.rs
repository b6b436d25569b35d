//! The event stream as Parquet: a typed table for each type of event, partitioned by day, with a manifest that says what
//! is where. <https://parquet.apache.org/docs/file-format/>
//!
//! What a table looks like follows from the schemas of its events, and from nothing else here. Parts are written whole
//! and count once the manifest names them, so an export that breaks off goes on where the last manifest ends.

mod columns;
mod compaction;
mod decode;
mod destination;
mod integrity;
mod manifest;
mod reader;
mod rows;
#[cfg(test)]
mod tests;
mod values;
mod views;
mod writer;

pub use integrity::{flaws_of_files, manifest_of};
pub use manifest::{Manifest, Mark, Part};
pub use reader::{Mirrored, Reader};
pub use writer::Export;

/// Why an export cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder or bucket could not be read or written.
    #[error("{0}")]
    Storage(#[from] object_store::Error),
    /// A part is damaged.
    #[error("{path} cannot be read as Parquet: {error}")]
    Damaged {
        /// Which, from the folder of the manifest.
        path: String,
        /// Why.
        error: Box<Self>,
    },
    /// A part has other bytes than its rows make: whoever reads it otherwise than row by row may see something else.
    #[error("{path} is not as this version of ludoteca writes these events; export them again into another folder")]
    OtherBytes {
        /// Which, from the folder of the manifest.
        path: String,
    },
    /// A part has columns that its events do not have.
    #[error("{path} has other columns than events of its type")]
    OtherColumns {
        /// Which, from the folder of the manifest.
        path: String,
    },
    /// A part does not hold what the manifest says.
    #[error("the manifest does not fit what is in {path}")]
    NotAsNamed {
        /// Which, from the folder of the manifest.
        path: String,
    },
    /// A file of an export cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// Which, from the folder of the manifest.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Where to export to is no folder and no URL.
    #[error("{0:?} is neither a folder nor s3://BUCKET/PATH")]
    NoDestination(String),
    /// Another export writes there.
    #[error("another export is writing to {}; wait for it", .0.display())]
    Busy(std::path::PathBuf),
    /// The manifest is of another version of this program.
    #[error("manifest.json is of format {0}, which this program does not write; export into a folder of its own")]
    AnotherFormat(u32),
    /// The manifest is none, or of another program.
    #[error("manifest.json cannot be read: {0}")]
    Manifest(#[from] serde_json::Error),
    /// An event that is no event.
    #[error("a line of the stream is no event: {0}")]
    NoEvent(serde_json::Error),
    /// An event of a form that this program does not know.
    #[error("{event_type}, version {version}, is newer than this program; export with the version that the store runs")]
    UnknownForm {
        /// The event's name.
        event_type: String,
        /// The version of its form.
        version: String,
    },
    /// An event is not where it belongs.
    #[error("the stream goes on at {found} where {expected} should follow")]
    Gap {
        /// The position that was to follow.
        expected: u64,
        /// The position that followed.
        found: u64,
    },
    /// What was exported is not from this stream.
    #[error("event {position} is another one than was exported; export this store into a folder of its own")]
    AnotherStream {
        /// Where they differ.
        position: u64,
    },
    /// A schema says what no column can hold.
    #[error("no column for {0}")]
    NoColumn(String),
    /// An event is not as its schema says.
    #[error("{0}")]
    Column(#[from] arrow_schema::ArrowError),
    /// A part could not be written or read.
    #[error("{0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}
