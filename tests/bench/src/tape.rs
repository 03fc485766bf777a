//! Objects go to tape under a lifecycle rule and come back under RestoreObject, seen as a client sees it.

use std::time::{Duration, Instant};

use http::Method;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Ask, Client, Signing};
use crate::data::{Content, Size};
use crate::error::{Error, Result};
use crate::load::{Action, Cell, Setting};
use crate::report::{Report, Row};

/// How often the listing is asked while objects move.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Longest time objects may take to move.
const MOVE_SECONDS_MAX: u64 = 120;
/// Longest time for putting, asking for and getting them.
const LOAD_TIME_MAX: Duration = Duration::from_secs(60);
const CONCURRENCY: usize = 16;

/// So many objects of one size, to tape and back.
///
/// # Errors
/// Whatever a client would see, and a move that does not end in time.
pub async fn round_trip(setting: &Setting, report: &mut Report, size: Size, count: usize) -> Result<()> {
    let bucket = match size {
        Size::Small => "bench-tape-small",
        Size::Large => "bench-tape-large",
    };
    let mut client = setting.target.connect().await?;
    client.text(Ask::new(Method::PUT, format!("/{bucket}"))).await?;
    let cell = |action| Cell {
        action,
        bucket: bucket.to_owned(),
        size,
        concurrency: CONCURRENCY,
        count_max: count,
        time_max: LOAD_TIME_MAX,
        keys: count,
    };
    let named = |what: &str| format!("tape {what} {count} x {}", size.name());
    let put = cell(Action::Put(Signing::Hashed)).run(setting, named("put")).await?;
    require_all(&put, count)?;
    report_row(report, put)?;

    let walk = Walk { bucket, count, bytes: count as u64 * size.bytes() as u64 };
    let begin = Instant::now();
    let meter = setting.server.meter();
    put_rule(&mut client, bucket).await?;
    walk.wait(&mut client, "<StorageClass>GLACIER</StorageClass>").await?;
    report_row(report, walk.row(named("migrate"), begin, meter))?;

    let begin = Instant::now();
    let meter = setting.server.meter();
    let asked = cell(Action::Restore).run(setting, named("ask to restore")).await?;
    require_all(&asked, count)?;
    report_row(report, asked)?;
    walk.wait(&mut client, "<IsRestoreInProgress>false</IsRestoreInProgress>").await?;
    report_row(report, walk.row(named("restore"), begin, meter))?;

    let got = cell(Action::Get).run(setting, named("get restored")).await?;
    require_all(&got, count)?;
    report_row(report, got)
}

/// Waits for all objects of a bucket.
struct Walk<'a> {
    bucket: &'a str,
    count: usize,
    bytes: u64,
}

// === impl Walk ===

impl Walk<'_> {
    /// Waits until every entry of the listing carries `mark`. A page that does is not asked for again, so that
    /// looking costs the server little.
    async fn wait(&self, client: &mut Client, mark: &str) -> Result<()> {
        let begin = Instant::now();
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut after, mut seen) = (None, 0);
        while seen < self.count {
            let page = self.page(client, after.as_deref()).await?;
            let entries = page.matches("<Contents>").count();
            if entries > 0 && page.matches(mark).count() == entries {
                seen += entries;
                after = tag(&page, "NextContinuationToken");
                if after.is_some() || seen >= self.count {
                    continue;
                }
            }
            if begin.elapsed().as_secs() >= MOVE_SECONDS_MAX {
                return Err(Error::Overdue {
                    what: format!("{mark} on all of {} ({seen} of {})", self.bucket, self.count),
                    seconds: MOVE_SECONDS_MAX,
                });
            }
            ticks.tick().await;
        }
        Ok(())
    }

    async fn page(&self, client: &mut Client, after: Option<&str>) -> Result<String> {
        let after = after.map(|token| format!("&continuation-token={}", encode(token)));
        let path = format!("/{}?list-type=2{}", self.bucket, after.unwrap_or_default());
        let ask = Ask::new(Method::GET, path).header("x-amz-optional-object-attributes", "RestoreStatus");
        client.text(ask).await
    }

    fn row(&self, name: String, begin: Instant, meter: crate::meter::Meter) -> Row {
        let mut row = Row::new(name, self.count as u64, self.bytes, begin.elapsed());
        row.server = Some(meter.usage());
        row
    }
}

async fn put_rule(client: &mut Client, bucket: &str) -> Result<()> {
    use base64::Engine as _;
    let rule = Content::new(RULE.into());
    let digest = base64::engine::general_purpose::STANDARD.encode(rule.sha256);
    let ask = Ask::new(Method::PUT, format!("/{bucket}?lifecycle"))
        .header("x-amz-checksum-sha256", digest)
        // Without it, objects below 128 KiB stay where they are.
        .header(
            "x-amz-transition-default-minimum-object-size",
            "varies_by_storage_class",
        )
        .with(&rule);
    client.text(ask).await.map(drop)
}

fn require_all(row: &Row, count: usize) -> Result<()> {
    if row.count == count as u64 {
        return Ok(());
    }
    Err(Error::Overdue {
        what: format!("{} ({} done)", row.name, row.count),
        seconds: LOAD_TIME_MAX.as_secs(),
    })
}

fn report_row(report: &mut Report, row: Row) -> Result<()> {
    report.add(row).map_err(crate::error::file("writing the report"))
}

/// The text of the first element of this name in a document of our own server.
fn tag(page: &str, name: &str) -> Option<String> {
    let (_, after) = page.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once("</")?;
    Some(text.to_owned())
}

/// Encodes a query value.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

const RULE: &str = "<LifecycleConfiguration><Rule><ID>bench</ID><Status>Enabled</Status>\
    <Filter><Prefix></Prefix></Filter>\
    <Transition><Date>2020-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>\
    </Rule></LifecycleConfiguration>";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_token_is_read_and_encoded() {
        let page = "<A><NextContinuationToken>a+/=</NextContinuationToken></A>";
        let token = tag(page, "NextContinuationToken").unwrap();
        assert_eq!(encode(&token), "a%2B%2F%3D");
        assert_eq!(tag(page, "Other"), None);
    }
}
