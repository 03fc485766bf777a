//! Restores that mounts of this process have begun. What stands as `Reading` in the book of record and is not here was
//! begun by a mount that broke off, and goes back to its queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{ArchiveId, JobId};

/// All of them.
#[derive(Default)]
pub(crate) struct Readings {
    begun: Mutex<Begun>,
    /// Held from looking at the queue until what is taken from it is begun: two mounts never begin the same.
    pub(crate) admission: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Begun {
    jobs: BTreeMap<JobId, usize>,
    archives: BTreeMap<ArchiveId, usize>,
}

/// What one mount has begun, until dropped.
pub(crate) struct Reading {
    all: Arc<Readings>,
    noted: Vec<(JobId, ArchiveId)>,
}

// === impl Readings ===

impl Readings {
    /// A mount that has begun nothing yet.
    pub(crate) fn begin(self: &Arc<Self>) -> Reading {
        Reading { all: self.clone(), noted: Vec::new() }
    }

    /// Whether a mount has begun this restore.
    pub(crate) fn has(&self, job: JobId) -> bool {
        self.lock().jobs.contains_key(&job)
    }

    /// Whether a mount reads pieces of this archive.
    pub(crate) fn reads(&self, archive: ArchiveId) -> bool {
        self.lock().archives.contains_key(&archive)
    }

    fn lock(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Reading ===

impl Reading {
    /// To be called before the row says so, and before anything of the archive is on the spool.
    pub(crate) fn note(&mut self, job: JobId, archive: ArchiveId) {
        let mut begun = self.all.lock();
        *begun.jobs.entry(job).or_default() += 1;
        *begun.archives.entry(archive).or_default() += 1;
        self.noted.push((job, archive));
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut begun = self.all.lock();
        for (job, archive) in &self.noted {
            less(&mut begun.jobs, *job);
            less(&mut begun.archives, *archive);
        }
    }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_mounts_have_is_known_until_both_end() {
        let readings = Arc::new(Readings::default());
        let (job, archive) = (JobId::new(1, 1), ArchiveId::new(1, 1));
        let (mut one, mut other) = (readings.begin(), readings.begin());
        one.note(job, archive);
        other.note(job, archive);
        drop(one);
        assert!(readings.has(job) && readings.reads(archive));
        drop(other);
        assert!(!readings.has(job) && !readings.reads(archive));
    }
}
