//! Where an export goes: a folder, or a bucket that speaks S3.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::ExportError;

const S3: &str = "s3://";

/// A place for files, each of which is written whole or not at all.
#[derive(Clone)]
pub(crate) struct Destination {
    files: Arc<dyn ObjectStore>,
    /// What stands before a path where others than this program read it.
    pub(crate) prefix: String,
}

impl Destination {
    /// A folder, which is made where it is missing, or `s3://BUCKET/PATH` with the keys of the usual `AWS_…` variables.
    pub(crate) fn open(to: &str) -> Result<Self, ExportError> {
        let no_destination = || ExportError::NoDestination(to.to_owned());
        if let Some(place) = to.strip_prefix(S3) {
            let (bucket, path) = place.trim_end_matches('/').split_once('/').unwrap_or((place, ""));
            if bucket.is_empty() {
                return Err(no_destination());
            }
            let bucket = AmazonS3Builder::from_env().with_bucket_name(bucket).build()?;
            let files = Arc::new(PrefixStore::new(bucket, path));
            return Ok(Self { files, prefix: format!("{}/", to.trim_end_matches('/')) });
        }
        if to.is_empty() || to.contains("://") {
            return Err(no_destination());
        }
        std::fs::create_dir_all(to)
            .map_err(|error| object_store::Error::Generic { store: "folder", source: Box::new(error) })?;
        let folder = LocalFileSystem::new_with_prefix(to)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { files: Arc::new(folder), prefix: String::new() })
    }

    pub(crate) async fn put(&self, path: &str, file: impl Into<Bytes>) -> Result<(), ExportError> {
        self.files.put(&Path::from(path), file.into().into()).await?;
        Ok(())
    }

    /// A file; nothing where there is none.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Bytes>, ExportError> {
        match self.files.get(&Path::from(path)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), ExportError> {
        match self.files.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The paths of all files below a folder.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, ExportError> {
        let found = self.files.list(Some(&Path::from(folder))).map(|file| file.map(|file| file.location.to_string()));
        Ok(found.try_collect().await?)
    }
}
