//! The operations of S3: method, level, sub-resources, parameters.

use std::fmt;

/// What an operation acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Service,
    Bucket,
    Object,
}

/// One operation as it looks on the wire.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) operation: Operation,
    pub(super) method: &'static str,
    pub(super) level: Level,
    /// Query names that must be there.
    pub(super) selectors: &'static [&'static str],
    /// Query names that may be there.
    pub(super) parameters: &'static [&'static str],
}

impl Row {
    /// True when the operation may be asked for with this name in its query.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.selectors.contains(&name) || self.parameters.contains(&name)
    }

    /// Whether `x-amz-copy-source` must be there or must not; nothing where it plays no part.
    pub(super) fn copies(&self) -> Option<bool> {
        match self.operation {
            Operation::CopyObject | Operation::UploadPartCopy => Some(true),
            Operation::PutObject | Operation::UploadPart => Some(false),
            _ => None,
        }
    }
}

macro_rules! operations {
    ($($name:ident $method:ident $level:ident [$($selector:literal)*] [$($parameter:literal)*];)*) => {
        /// An operation of S3, by its name there; those not offered are named too, so that they can be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names are S3's own")]
        pub enum Operation {
            $($name,)*
            /// A browser asking what another origin may do (OPTIONS on anything).
            Preflight,
            /// Nothing we know: 501, never another operation.
            Unknown,
        }

        impl Operation {
            /// The operation's name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Preflight => "Preflight",
                    Self::Unknown => "Unknown",
                }
            }
        }

        pub(super) const ROWS: &[Row] = &[$(Row {
            operation: Operation::$name,
            method: stringify!($method),
            level: Level::$level,
            selectors: &[$($selector),*],
            parameters: &[$($parameter),*],
        },)*];
    };
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

operations! {
    ListBuckets GET Service [] ["max-buckets" "continuation-token" "prefix" "bucket-region"];

    ListObjects GET Bucket [] ["prefix" "delimiter" "marker" "max-keys" "encoding-type"];
    ListObjectsV2 GET Bucket ["list-type"] ["prefix" "delimiter" "max-keys" "encoding-type" "continuation-token" "start-after" "fetch-owner"];
    ListObjectVersions GET Bucket ["versions"] ["prefix" "delimiter" "max-keys" "encoding-type" "key-marker" "version-id-marker"];
    ListMultipartUploads GET Bucket ["uploads"] ["prefix" "delimiter" "max-uploads" "encoding-type" "key-marker" "upload-id-marker"];
    HeadBucket HEAD Bucket [] [];
    CreateBucket PUT Bucket [] [];
    DeleteBucket DELETE Bucket [] [];
    PostObject POST Bucket [] [];
    DeleteObjects POST Bucket ["delete"] [];
    CreateSession GET Bucket ["session"] [];
    GetBucketLocation GET Bucket ["location"] [];
    GetBucketVersioning GET Bucket ["versioning"] [];
    PutBucketVersioning PUT Bucket ["versioning"] [];
    GetBucketLifecycleConfiguration GET Bucket ["lifecycle"] [];
    PutBucketLifecycleConfiguration PUT Bucket ["lifecycle"] [];
    DeleteBucketLifecycle DELETE Bucket ["lifecycle"] [];
    GetBucketAcl GET Bucket ["acl"] [];
    PutBucketAcl PUT Bucket ["acl"] [];
    GetBucketTagging GET Bucket ["tagging"] [];
    PutBucketTagging PUT Bucket ["tagging"] [];
    DeleteBucketTagging DELETE Bucket ["tagging"] [];
    GetBucketPolicy GET Bucket ["policy"] [];
    PutBucketPolicy PUT Bucket ["policy"] [];
    DeleteBucketPolicy DELETE Bucket ["policy"] [];
    GetBucketPolicyStatus GET Bucket ["policyStatus"] [];
    GetBucketCors GET Bucket ["cors"] [];
    PutBucketCors PUT Bucket ["cors"] [];
    DeleteBucketCors DELETE Bucket ["cors"] [];
    GetBucketWebsite GET Bucket ["website"] [];
    PutBucketWebsite PUT Bucket ["website"] [];
    DeleteBucketWebsite DELETE Bucket ["website"] [];
    GetBucketLogging GET Bucket ["logging"] [];
    PutBucketLogging PUT Bucket ["logging"] [];
    GetBucketNotificationConfiguration GET Bucket ["notification"] [];
    PutBucketNotificationConfiguration PUT Bucket ["notification"] [];
    GetBucketReplication GET Bucket ["replication"] [];
    PutBucketReplication PUT Bucket ["replication"] [];
    DeleteBucketReplication DELETE Bucket ["replication"] [];
    GetBucketEncryption GET Bucket ["encryption"] [];
    PutBucketEncryption PUT Bucket ["encryption"] [];
    DeleteBucketEncryption DELETE Bucket ["encryption"] [];
    GetBucketRequestPayment GET Bucket ["requestPayment"] [];
    PutBucketRequestPayment PUT Bucket ["requestPayment"] [];
    GetBucketAccelerateConfiguration GET Bucket ["accelerate"] [];
    PutBucketAccelerateConfiguration PUT Bucket ["accelerate"] [];
    GetBucketOwnershipControls GET Bucket ["ownershipControls"] [];
    PutBucketOwnershipControls PUT Bucket ["ownershipControls"] [];
    DeleteBucketOwnershipControls DELETE Bucket ["ownershipControls"] [];
    GetPublicAccessBlock GET Bucket ["publicAccessBlock"] [];
    PutPublicAccessBlock PUT Bucket ["publicAccessBlock"] [];
    DeletePublicAccessBlock DELETE Bucket ["publicAccessBlock"] [];
    GetObjectLockConfiguration GET Bucket ["object-lock"] [];
    PutObjectLockConfiguration PUT Bucket ["object-lock"] [];
    ListBucketAnalyticsConfigurations GET Bucket ["analytics"] ["continuation-token"];
    GetBucketAnalyticsConfiguration GET Bucket ["analytics" "id"] [];
    PutBucketAnalyticsConfiguration PUT Bucket ["analytics" "id"] [];
    DeleteBucketAnalyticsConfiguration DELETE Bucket ["analytics" "id"] [];
    ListBucketInventoryConfigurations GET Bucket ["inventory"] ["continuation-token"];
    GetBucketInventoryConfiguration GET Bucket ["inventory" "id"] [];
    PutBucketInventoryConfiguration PUT Bucket ["inventory" "id"] [];
    DeleteBucketInventoryConfiguration DELETE Bucket ["inventory" "id"] [];
    ListBucketMetricsConfigurations GET Bucket ["metrics"] ["continuation-token"];
    GetBucketMetricsConfiguration GET Bucket ["metrics" "id"] [];
    PutBucketMetricsConfiguration PUT Bucket ["metrics" "id"] [];
    DeleteBucketMetricsConfiguration DELETE Bucket ["metrics" "id"] [];
    ListBucketIntelligentTieringConfigurations GET Bucket ["intelligent-tiering"] ["continuation-token"];
    GetBucketIntelligentTieringConfiguration GET Bucket ["intelligent-tiering" "id"] [];
    PutBucketIntelligentTieringConfiguration PUT Bucket ["intelligent-tiering" "id"] [];
    DeleteBucketIntelligentTieringConfiguration DELETE Bucket ["intelligent-tiering" "id"] [];
    GetBucketMetadataTableConfiguration GET Bucket ["metadataTable"] [];
    CreateBucketMetadataTableConfiguration POST Bucket ["metadataTable"] [];
    DeleteBucketMetadataTableConfiguration DELETE Bucket ["metadataTable"] [];
    GetBucketMetadataConfiguration GET Bucket ["metadataConfiguration"] [];
    CreateBucketMetadataConfiguration POST Bucket ["metadataConfiguration"] [];
    DeleteBucketMetadataConfiguration DELETE Bucket ["metadataConfiguration"] [];
    UpdateBucketMetadataInventoryTableConfiguration PUT Bucket ["metadataInventoryTable"] [];
    UpdateBucketMetadataJournalTableConfiguration PUT Bucket ["metadataJournalTable"] [];
    GetBucketAbac GET Bucket ["abac"] [];
    PutBucketAbac PUT Bucket ["abac"] [];

    GetObject GET Object [] ["versionId" "partNumber"];
    HeadObject HEAD Object [] ["versionId" "partNumber"];
    PutObject PUT Object [] [];
    CopyObject PUT Object [] [];
    DeleteObject DELETE Object [] ["versionId"];
    GetObjectAttributes GET Object ["attributes"] ["versionId"];
    GetObjectAcl GET Object ["acl"] ["versionId"];
    PutObjectAcl PUT Object ["acl"] ["versionId"];
    GetObjectTagging GET Object ["tagging"] ["versionId"];
    PutObjectTagging PUT Object ["tagging"] ["versionId"];
    DeleteObjectTagging DELETE Object ["tagging"] ["versionId"];
    GetObjectLegalHold GET Object ["legal-hold"] ["versionId"];
    PutObjectLegalHold PUT Object ["legal-hold"] ["versionId"];
    GetObjectRetention GET Object ["retention"] ["versionId"];
    PutObjectRetention PUT Object ["retention"] ["versionId"];
    GetObjectTorrent GET Object ["torrent"] [];
    UpdateObjectEncryption PUT Object ["encryption"] ["versionId"];
    RenameObject PUT Object ["renameObject"] [];
    CreateMultipartUpload POST Object ["uploads"] [];
    UploadPart PUT Object ["partNumber" "uploadId"] [];
    UploadPartCopy PUT Object ["partNumber" "uploadId"] [];
    CompleteMultipartUpload POST Object ["uploadId"] [];
    AbortMultipartUpload DELETE Object ["uploadId"] [];
    ListParts GET Object ["uploadId"] ["max-parts" "part-number-marker" "encoding-type"];
    RestoreObject POST Object ["restore"] ["versionId"];
    SelectObjectContent POST Object ["select"] ["select-type" "versionId"];
}
