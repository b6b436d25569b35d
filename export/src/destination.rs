//! Where an export goes: a folder, or a bucket that speaks S3.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
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

/// Held by the one export that writes to a folder.
pub(crate) const LOCK: &str = ".lock";

/// A place for files, each of which is written whole or not at all.
pub(crate) struct Destination {
    files: Arc<dyn ObjectStore>,
    /// What stands before a path where others than this program read it.
    pub(crate) prefix: String,
    folder: Option<Folder>,
}

/// A folder, which is locked for as long as this is.
struct Folder {
    place: PathBuf,
    _lock: File,
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
            return Ok(Self { files, prefix: format!("{}/", to.trim_end_matches('/')), folder: None });
        }
        if to.is_empty() || to.contains("://") {
            return Err(no_destination());
        }
        let place = Folder::lock(to.into())?;
        let files = LocalFileSystem::new_with_prefix(to)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { files: Arc::new(files), prefix: String::new(), folder: Some(place) })
    }

    pub(crate) async fn put(&self, path: &str, file: impl Into<Bytes>) -> Result<(), ExportError> {
        #[cfg(test)]
        crate::tests::write()?;
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
        #[cfg(test)]
        crate::tests::write()?;
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

    /// Removes what a write left in a folder of parts that was killed before it had a name.
    pub(crate) fn remove_unfinished(&self, folder: &str) -> Result<(), ExportError> {
        let Some(Folder { place, .. }) = &self.folder else { return Ok(()) };
        let mut open = vec![place.join(folder)];
        while let Some(folder) = open.pop().filter(|folder| folder.is_dir()) {
            for entry in std::fs::read_dir(folder).map_err(of_folder)? {
                let entry = entry.map_err(of_folder)?;
                let name = entry.file_name();
                if entry.file_type().map_err(of_folder)?.is_dir() {
                    open.push(entry.path());
                } else if name.to_string_lossy().contains(".parquet#") {
                    std::fs::remove_file(entry.path()).map_err(of_folder)?;
                }
            }
        }
        Ok(())
    }
}

impl Folder {
    fn lock(place: PathBuf) -> Result<Self, ExportError> {
        std::fs::create_dir_all(&place).map_err(of_folder)?;
        let lock = File::create(place.join(LOCK)).map_err(of_folder)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { place, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ExportError::Busy(place)),
            Err(TryLockError::Error(error)) => Err(of_folder(error)),
        }
    }
}

fn of_folder(error: std::io::Error) -> ExportError {
    ExportError::Storage(object_store::Error::Generic { store: "folder", source: Box::new(error) })
}
