//! Rows for tests, told apart by small numbers.
#![allow(clippy::unwrap_used)]

use model::catalog::Bucket;
use model::pack::{Pack, PackCopy, PackCopyState, Seal};
use model::store::ObjectRef;
use model::volume::{Volume, VolumeState};
use model::{
    Archive, ArchiveId, ArchiveState, BucketName, Extent, JobId, ObjectKey, PackId, PoolName, RestoreJob,
    RestoreState, TapeClass, Tier, Timestamp, VolumeId,
};

pub fn bucket_name(text: &str) -> BucketName {
    BucketName::parse(text).unwrap()
}

pub fn object_key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn pool() -> PoolName {
    PoolName::parse("default").unwrap()
}

/// A new archive of `size` bytes.
pub fn archive(number: u64, bucket: &str, key: &str, size: u64) -> Archive {
    Archive {
        size,
        last_modified: Some(Timestamp::from_seconds(1)),
        part_bytes: vec![size],
        checksums: vec![("x-amz-checksum-crc32".into(), "AAAAAA==".into())],
        displaced_metadata: vec![("x-amz-meta-a".into(), "1".into())],
        ..Archive::new(
            ArchiveId::new(number, 0),
            ObjectRef { bucket: bucket_name(bucket), key: object_key(key), version: None },
            TapeClass::Glacier,
            pool(),
            ArchiveState::Due,
            Timestamp::from_seconds(2),
        )
    }
}

pub fn extent(pack: PackId) -> Extent {
    Extent { pack, offset: 512, length: 7, digest: [7; 32] }
}

pub fn pack(number: u64, spooled: bool) -> Pack {
    Pack {
        id: PackId::new(number, 0),
        revision: 0,
        pool: pool(),
        bytes: 4096,
        digest: [1; 32],
        seal: spooled.then(|| Seal { key: "vault:2".into(), check: "0123456789abcdef".into() }),
        members: 3,
        spooled,
        created: Timestamp::from_seconds(3),
    }
}

pub fn copy(pack: u64, number: u8, volume: Option<u128>, state: PackCopyState) -> PackCopy {
    PackCopy {
        pack: PackId::new(pack, 0),
        number,
        revision: 0,
        pool: pool(),
        volume: volume.map(VolumeId::from_u128),
        state,
    }
}

pub fn volume(number: u128) -> Volume {
    Volume {
        id: VolumeId::from_u128(number),
        revision: 0,
        library: "main".into(),
        barcode: format!("V{number:05}L9"),
        medium_serial: "serial".into(),
        pool: None,
        state: VolumeState::New,
        generation: 1,
        end_of_data_block: 5,
        remaining_bytes: 10,
        capacity_bytes: 20,
        unclean: false,
        journal: 0,
        leaving: None,
        check: None,
        created: Timestamp::from_seconds(4),
    }
}

pub fn restore(number: u64, archive: ArchiveId, state: RestoreState) -> RestoreJob {
    RestoreJob {
        id: JobId::new(number, 0),
        revision: 0,
        archive,
        bucket: bucket_name("photos"),
        key: object_key("a"),
        tier: Tier::Standard,
        days: 2,
        created: Timestamp::from_seconds(5),
        state,
        failures: 0,
    }
}

pub fn bucket(name: &str) -> Bucket {
    Bucket::new(bucket_name(name))
}
