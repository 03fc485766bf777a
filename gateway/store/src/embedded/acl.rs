//! Access control lists: stored and told, and never asked. The store has one owner and no callers of its own to tell
//! apart; who may do what is judged before it.
//!
//! An ACL comes as a canned one (`x-amz-acl`), as grant headers (`x-amz-grant-*`) or as a document, and is told as a
//! document. `None` stands for the default: the owner has every right and nobody else any.

use dialect::listing::Owner;
use dialect::xml::{self, Element, NAMESPACE, escape};
use dialect::{Code, S3Error};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use model::Body;

use super::bucket::short_body;
use super::fault::Outcome;
use super::record::{Acl, Bucket, Grant, Grantee, Group, Permission};
use super::respond::{bare, document, not_offered};
use super::{Ask, Inner, Target, intake};

/// Most grants of one ACL.
const GRANTS_MAX: usize = 100;
/// Longest document read, in bytes: so many grants with long names.
const BYTES_MAX: usize = 256 << 10;
/// Longest id of a user, in bytes.
const USER_BYTES_MAX: usize = 256;

/// The header of a canned ACL.
const CANNED: &str = "x-amz-acl";
impl Inner {
    /// GetObjectAcl
    pub(super) fn object_acl(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let seen = self.find(&Target::of(ask)?, &ask.method)?;
        Ok(document(policy(&self.owner, seen.version.acl.as_ref())))
    }

    /// PutObjectAcl
    pub(super) async fn put_object_acl(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        self.find(&Target::of(ask)?, &ask.method)?;
        let acl = self.asked_acl(ask, body).await?;
        self.amend(ask, move |version| version.acl = acl).await?;
        Ok(bare(StatusCode::OK))
    }

    /// GetBucketAcl
    pub(super) fn bucket_acl(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let bucket = self.snapshot()?.bucket(ask.route.bucket()?.as_str())?;
        Ok(document(policy(&self.owner, bucket.acl.as_ref())))
    }

    /// PutBucketAcl
    pub(super) async fn put_bucket_acl(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        let name = ask.route.bucket()?.as_str().to_owned();
        self.snapshot()?.bucket(&name)?;
        let acl = self.asked_acl(ask, body).await?;
        self.writer
            .commit(None, move |tables| {
                let bucket = tables.bucket(&name)?;
                Ok(tables.write_bucket(&name, &Bucket { acl, ..bucket })?)
            })
            .await?;
        Ok(bare(StatusCode::OK))
    }

    /// The ACL in the headers or the body of a request that sets one.
    ///
    /// Errors: `UnexpectedContent` for both, `AccessDenied` for another owner's, and those of the two forms.
    async fn asked_acl(&self, ask: &Ask, body: Body) -> Outcome<Option<Acl>> {
        let body = short_body(body, BYTES_MAX).await?;
        intake::check_short(&ask.headers, &body)?;
        let named = Permission::ALL.map(Permission::header).into_iter().chain([CANNED]);
        match (ask.headers.keys().any(|name| named.clone().any(|known| known == name)), body.is_empty()) {
            (true, true) => Ok(of_headers(&ask.headers, &self.owner)?),
            (true, false) => Err(Code::UnexpectedContent.into()),
            (false, _) => Ok(read(&body, &self.owner)?),
        }
    }
}

/// The ACL a request gives what it writes.
///
/// Errors: `InvalidRequest` for a canned ACL and grants at once, `InvalidArgument` for what S3 does not know,
/// `NotImplemented` for what the store does not.
pub(super) fn of_headers(headers: &HeaderMap, owner: &Owner) -> Result<Option<Acl>, S3Error> {
    let mut grants = Vec::new();
    for permission in Permission::ALL {
        let name = permission.header();
        for line in headers.get_all(name) {
            for text in outside_quotes(text_of(line, name)?) {
                grants.push(Grant { grantee: grantee(text, name)?, permission });
            }
        }
    }
    match headers.get(CANNED) {
        None if grants.is_empty() => Ok(None),
        None => settled(grants, owner),
        Some(_) if !grants.is_empty() => {
            Err(S3Error::invalid_request("Specifying both Canned ACLs and Header Grants is not allowed"))
        }
        Some(value) => settled(canned(text_of(value, CANNED)?, owner)?, owner),
    }
}

fn text_of<'a>(value: &'a HeaderValue, name: &str) -> Result<&'a str, S3Error> {
    value.to_str().map_err(|_| S3Error::argument("Invalid header value", name, ""))
}

/// The grants of a canned ACL. Whom a bucket belongs to owns its objects too.
fn canned(name: &str, owner: &Owner) -> Result<Vec<Grant>, S3Error> {
    use Permission::{FullControl, Read, ReadAcp, Write};
    let group = |group, permission| Grant { grantee: Grantee::Group(group), permission };
    let mut grants = vec![Grant { grantee: Grantee::User(owner.id.clone()), permission: FullControl }];
    match name {
        "private" | "bucket-owner-read" | "bucket-owner-full-control" => {}
        "public-read" => grants.push(group(Group::AllUsers, Read)),
        "public-read-write" => {
            grants.extend([group(Group::AllUsers, Read), group(Group::AllUsers, Write)]);
        }
        "authenticated-read" => grants.push(group(Group::AuthenticatedUsers, Read)),
        "log-delivery-write" => {
            grants.extend([group(Group::LogDelivery, Write), group(Group::LogDelivery, ReadAcp)]);
        }
        "aws-exec-read" => return Err(S3Error::header_not_implemented(CANNED)),
        other => return Err(S3Error::argument("Invalid canned ACL", CANNED, other)),
    }
    Ok(grants)
}

/// The parts of a list between commas, but for those in quotes.
fn outside_quotes(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = list.split(move |sign| {
        quoted ^= sign == '"';
        sign == ',' && !quoted
    });
    parts.map(str::trim_ascii).filter(|part| !part.is_empty())
}

/// `id="..."` or `uri="..."`.
fn grantee(text: &str, header: &str) -> Result<Grantee, S3Error> {
    let malformed = || S3Error::argument("Argument format not recognized", header, text);
    let (kind, name) = text.split_once('=').ok_or_else(malformed)?;
    let name = name.trim_ascii();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    match kind.trim_ascii() {
        "id" => user(name),
        "uri" => group(name),
        "emailAddress" => Err(S3Error::header_not_implemented(header)),
        _ => Err(malformed()),
    }
}

fn user(id: &str) -> Result<Grantee, S3Error> {
    let legal = (1..=USER_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if legal {
        Ok(Grantee::User(id.to_owned()))
    } else {
        Err(S3Error::argument("Invalid id", "CanonicalUser/ID", id))
    }
}

fn group(uri: &str) -> Result<Grantee, S3Error> {
    let known = Group::ALL.into_iter().find(|known| known.uri() == uri);
    known.map(Grantee::Group).ok_or_else(|| S3Error::argument("Invalid group uri", "Group/URI", uri))
}

/// Each grant once, and the default as such. Errors: `InvalidArgument` for too many.
fn settled(mut grants: Vec<Grant>, owner: &Owner) -> Result<Option<Acl>, S3Error> {
    grants.sort();
    grants.dedup();
    if grants.len() > GRANTS_MAX {
        return Err(S3Error::with_message(Code::InvalidArgument, "An ACL holds at most 100 grants"));
    }
    let default = Grant { grantee: Grantee::User(owner.id.clone()), permission: Permission::FullControl };
    Ok((grants != [default]).then_some(Acl(grants)))
}

/// Reads a document.
fn read(body: &[u8], owner: &Owner) -> Result<Option<Acl>, S3Error> {
    let root = xml::read(body, "AccessControlPolicy", BYTES_MAX)?;
    root.only(&["Owner", "AccessControlList"])?;
    let named = root.at_most_one("Owner")?.map(|named| named.leaf("ID")).transpose()?.flatten();
    if named.is_some_and(|id| id != owner.id) {
        return Err(Code::AccessDenied.into());
    }
    let list = root.at_most_one("AccessControlList")?.ok_or_else(S3Error::malformed_xml)?;
    list.only(&["Grant"])?;
    settled(list.children.iter().map(read_grant).collect::<Result<_, _>>()?, owner)
}

fn read_grant(grant: &Element) -> Result<Grant, S3Error> {
    grant.only(&["Grantee", "Permission"])?;
    let text = grant.leaf("Permission")?.unwrap_or_default();
    let permission = Permission::ALL.into_iter().find(|known| known.name() == text);
    let permission = permission.ok_or_else(S3Error::malformed_xml)?;
    let named = grant.at_most_one("Grantee")?.ok_or_else(S3Error::malformed_xml)?;
    let grantee = match (named.leaf("ID")?, named.leaf("URI")?, named.child("EmailAddress")) {
        (Some(id), None, None) => user(id)?,
        (None, Some(uri), None) => group(uri)?,
        (None, None, Some(_)) => return Err(not_offered()),
        _ => return Err(S3Error::malformed_xml()),
    };
    Ok(Grant { grantee, permission })
}

/// The document. Whether a grantee is a user or a group stands in an attribute.
fn policy(owner: &Owner, acl: Option<&Acl>) -> Vec<u8> {
    let leaf = |out: &mut String, name: &str, text: &str| {
        out.push_str(&format!("<{name}>"));
        escape(text, out);
        out.push_str(&format!("</{name}>"));
    };
    let mut out =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AccessControlPolicy xmlns=\"{NAMESPACE}\">");
    out.push_str("<Owner>");
    leaf(&mut out, "ID", &owner.id);
    leaf(&mut out, "DisplayName", &owner.display_name);
    out.push_str("</Owner><AccessControlList>");
    let default = [Grant { grantee: Grantee::User(owner.id.clone()), permission: Permission::FullControl }];
    for grant in acl.map_or(&default[..], |acl| &acl.0) {
        let (kind, name, text) = match &grant.grantee {
            Grantee::User(id) => ("CanonicalUser", "ID", id.as_str()),
            Grantee::Group(group) => ("Group", "URI", group.uri()),
        };
        out.push_str(&format!("<Grant><Grantee xmlns:xsi=\"{SCHEMA}\" xsi:type=\"{kind}\">"));
        leaf(&mut out, name, text);
        if text == owner.id {
            leaf(&mut out, "DisplayName", &owner.display_name);
        }
        out.push_str("</Grantee>");
        leaf(&mut out, "Permission", grant.permission.name());
        out.push_str("</Grant>");
    }
    out.push_str("</AccessControlList></AccessControlPolicy>");
    out.into_bytes()
}

// === impl Permission ===

impl Permission {
    const ALL: [Self; 5] = [Self::FullControl, Self::Read, Self::ReadAcp, Self::Write, Self::WriteAcp];

    /// As documents name it.
    fn name(self) -> &'static str {
        match self {
            Self::FullControl => "FULL_CONTROL",
            Self::Read => "READ",
            Self::ReadAcp => "READ_ACP",
            Self::Write => "WRITE",
            Self::WriteAcp => "WRITE_ACP",
        }
    }

    /// The header that grants it.
    fn header(self) -> &'static str {
        match self {
            Self::FullControl => "x-amz-grant-full-control",
            Self::Read => "x-amz-grant-read",
            Self::ReadAcp => "x-amz-grant-read-acp",
            Self::Write => "x-amz-grant-write",
            Self::WriteAcp => "x-amz-grant-write-acp",
        }
    }
}

// === impl Group ===

impl Group {
    const ALL: [Self; 3] = [Self::AllUsers, Self::AuthenticatedUsers, Self::LogDelivery];

    fn uri(self) -> &'static str {
        match self {
            Self::AllUsers => "http://acs.amazonaws.com/groups/global/AllUsers",
            Self::AuthenticatedUsers => "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
            Self::LogDelivery => "http://acs.amazonaws.com/groups/s3/LogDelivery",
        }
    }
}

const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema-instance";
