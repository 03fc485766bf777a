//! Rows are found by every question they answer to, and by no other.

use model::archive::ArchiveStage;
use model::catalog::{Catalog, Change};
use model::pack::{PackCopyStage, PackCopyState};
use model::restore::RestoreStage;
use model::{ArchiveId, ArchiveState, PackId, RestoreState, VolumeId};

use super::samples::{archive, bucket_name, copy, extent, object_key, pack, restore};
use super::save;

pub async fn keys_are_told_apart(catalog: &dyn Catalog) {
    let keys = ["a", "a/b", "a\0", "a\0\0", "a\0\u{1}", "ab", "\0", "日本", "a//b", "/a", "../a"];
    let mut number = 0;
    for bucket in ["photos", "photos.2"] {
        for key in keys {
            number += 1;
            save(catalog, &mut archive(number, bucket, key, number)).await;
        }
    }
    let second = archive(100, "photos", "a", 100);
    save(catalog, &mut second.clone()).await;
    let asked: Vec<_> = keys.iter().copied().chain(["never"]).map(object_key).collect();
    let each = catalog.archives_at_each(&bucket_name("photos"), &asked).await.unwrap();
    let sizes: Vec<Vec<u64>> = each.iter().map(|rows| rows.iter().map(|row| row.size).collect()).collect();
    let mut expected: Vec<Vec<u64>> = (1..=11).map(|size| vec![size]).collect();
    expected[0].push(100);
    expected.push(Vec::new());
    assert_eq!(sizes, expected);
    for (key, rows) in asked.iter().zip(each) {
        assert_eq!(catalog.archives_at(&bucket_name("photos"), key).await.unwrap(), rows);
    }
}

pub async fn listings_are_pages(catalog: &dyn Catalog) {
    let rows: Vec<_> = (1..=5).map(|n| archive(n, "photos", "a", n)).collect();
    let changes = rows.iter().rev().cloned().map(Change::Archive).collect();
    catalog.commit(changes).await.unwrap();
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = catalog.archives_in(ArchiveStage::Due, after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.into_iter().map(|row| row.id));
    }
    assert_eq!(seen, rows.iter().map(|row| row.id).collect::<Vec<_>>());
    let end = Some(ArchiveId::from_u128(u128::MAX));
    assert!(catalog.archives_in(ArchiveStage::Due, end, 2).await.unwrap().is_empty());
    assert!(catalog.archives_in(ArchiveStage::Due, None, 0).await.unwrap().is_empty());
}

pub async fn indexes_follow_rows(catalog: &dyn Catalog) {
    let mut row = archive(1, "photos", "a", 10);
    save(catalog, &mut row).await;
    row.state = ArchiveState::Packed;
    let (one, other) = (PackId::new(1, 0), PackId::new(2, 0));
    row.extents = vec![extent(one), extent(one), extent(other)];
    save(catalog, &mut row).await;
    for pack in [one, other] {
        assert_eq!(catalog.archives_of_pack(pack, None, 9).await.unwrap(), vec![row.clone()]);
    }
    row.state = ArchiveState::Due;
    row.extents = vec![extent(other)];
    save(catalog, &mut row).await;
    assert!(catalog.archives_of_pack(one, None, 9).await.unwrap().is_empty());
    row.touched = true;
    row.state = ArchiveState::Withdrawn;
    save(catalog, &mut row).await;
    assert_eq!(catalog.archives_of_pack(other, None, 9).await.unwrap(), vec![row.clone()]);
    assert!(catalog.archives_touched(None, 9).await.unwrap().is_empty());
    assert!(catalog.archives_at(&row.bucket, &row.key).await.unwrap().is_empty());

    let mut wanted = pack(1, true);
    catalog.commit(vec![Change::Pack(wanted.clone())]).await.unwrap();
    wanted.revision += 1;
    assert_eq!(catalog.packs_spooled(None, 9).await.unwrap(), vec![wanted.clone()]);
    wanted.spooled = false;
    catalog.commit(vec![Change::Pack(wanted)]).await.unwrap();
    assert!(catalog.packs_spooled(None, 9).await.unwrap().is_empty());
}

pub async fn copies_page_by_whole_packs(catalog: &dyn Catalog) {
    let written = PackCopyState::Written { start_block: 4, blocks: 2 };
    let all: Vec<_> = [(1, 0), (1, 1), (2, 0), (3, 0), (3, 255)]
        .map(|(pack, number)| copy(pack, number, Some(7), written))
        .to_vec();
    catalog.commit(all.iter().cloned().map(Change::PackCopy).collect()).await.unwrap();
    let mut after = None;
    let mut sizes = Vec::new();
    loop {
        let page = catalog.copies_in(PackCopyStage::Written, after, 1).await.unwrap();
        assert_eq!(page, catalog.copies_on(VolumeId::from_u128(7), after, 1).await.unwrap());
        let Some(last) = page.last() else { break };
        after = Some(last.pack);
        sizes.push(page.len());
    }
    assert_eq!(sizes, [2, 1, 2]);
    assert_eq!(catalog.copies_of(PackId::new(3, 0)).await.unwrap().len(), 2);
    assert!(catalog.copies_on(VolumeId::from_u128(8), None, 9).await.unwrap().is_empty());
}

pub async fn the_latest_restore_is_found(catalog: &dyn Catalog) {
    let (one, other) = (ArchiveId::new(1, 0), ArchiveId::new(2, 0));
    let jobs = [
        restore(1, one, RestoreState::Lapsed),
        restore(3, one, RestoreState::Queued),
        restore(2, one, RestoreState::Lapsed),
    ];
    catalog.commit(jobs.iter().cloned().map(Change::Restore).collect()).await.unwrap();
    assert_eq!(catalog.restore_of(one).await.unwrap().unwrap().id, jobs[1].id);
    let each = catalog.restores_of_each(&[other, one, other, one]).await.unwrap();
    let found: Vec<_> = each.iter().map(|job| job.as_ref().map(|job| job.id)).collect();
    assert_eq!(found, [None, Some(jobs[1].id), None, Some(jobs[1].id)]);
    let lapsed = catalog.restores_in(RestoreStage::Lapsed, None, 9).await.unwrap();
    assert_eq!(lapsed.iter().map(|job| job.id).collect::<Vec<_>>(), [jobs[0].id, jobs[2].id]);
}

pub async fn counts_are_those_of_the_rows(catalog: &dyn Catalog) {
    let mut row = archive(1, "photos", "a", 10);
    save(catalog, &mut row).await;
    save(catalog, &mut archive(2, "photos", "b", u64::from(u32::MAX))).await;
    let job = restore(1, row.id, RestoreState::Queued);
    let spooled = copy(1, 0, None, PackCopyState::Spooled);
    catalog.commit(vec![Change::Restore(job), Change::PackCopy(spooled)]).await.unwrap();
    row.size = 20;
    save(catalog, &mut row).await;
    let counts = catalog.counts().await.unwrap();
    assert_eq!(counts.archives.len(), ArchiveStage::ALL.len());
    assert_eq!(counts.archives[1], (ArchiveStage::Due, 2, u64::from(u32::MAX) + 20));
    assert_eq!(counts.archives[2], (ArchiveStage::Packed, 0, 0));
    assert_eq!(counts.restores[1], (RestoreStage::Queued, 1));
    assert!(counts.copies.contains(&(PackCopyStage::Spooled, 1)), "{:?}", counts.copies);
}
