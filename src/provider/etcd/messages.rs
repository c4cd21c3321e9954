//! The messages of etcd's v3 API that the provider needs, written by hand so that building needs no protobuf
//! compiler. Field numbers from etcd's `rpc.proto` and `kv.proto` (etcd 3.4); fields not used are left out,
//! which protobuf allows.

/// What every answer begins with.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResponseHeader {
    /// The cluster that answers.
    #[prost(uint64, tag = "1")]
    pub cluster_id: u64,
    /// The store's revision when the request was applied.
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

/// One key, its value, and when it was written.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValue {
    /// The whole key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// The revision that wrote it last.
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    /// Its value.
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
}

/// `etcdserverpb.KV/Range`. Keys come in ascending order unless another is asked for; asking for the ascending
/// one makes etcd read the whole range for every page.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RangeRequest {
    /// The first key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// The first key that is not meant any more; empty means `key` alone.
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
    /// Most keys of the answer; 0 means all.
    #[prost(int64, tag = "3")]
    pub limit: i64,
    /// The revision to read at; 0 means the newest.
    #[prost(int64, tag = "4")]
    pub revision: i64,
    /// Whether keys come without their values.
    #[prost(bool, tag = "8")]
    pub keys_only: bool,
    /// Only keys that were written last at this revision or later come; all of the range are counted.
    #[prost(int64, tag = "10")]
    pub min_mod_revision: i64,
}

/// The answer to [`RangeRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct RangeResponse {
    /// See there.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// What was found.
    #[prost(message, repeated, tag = "2")]
    pub kvs: Vec<KeyValue>,
    /// Whether there is more than the limit let through.
    #[prost(bool, tag = "3")]
    pub more: bool,
    /// How many keys the range has.
    #[prost(int64, tag = "4")]
    pub count: i64,
}

/// What a client says on `etcdserverpb.Watch/Watch`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WatchRequest {
    /// One of them.
    #[prost(oneof = "WatchDemand", tags = "1, 3")]
    pub demand: Option<WatchDemand>,
}

/// What a client wants of a watch stream.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum WatchDemand {
    /// A new watch.
    #[prost(message, tag = "1")]
    Create(WatchCreateRequest),
    /// A sign of life.
    #[prost(message, tag = "3")]
    Progress(WatchProgressRequest),
}

/// A new watch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WatchCreateRequest {
    /// The first key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// The first key that is not meant any more; empty means `key` alone.
    #[prost(bytes = "vec", tag = "2")]
    pub range_end: Vec<u8>,
    /// The revision of the first change to tell.
    #[prost(int64, tag = "3")]
    pub start_revision: i64,
    /// Whether the server tells its revision by itself now and then (every ten minutes).
    #[prost(bool, tag = "4")]
    pub progress_notify: bool,
    /// Whether large answers come in fragments.
    #[prost(bool, tag = "8")]
    pub fragment: bool,
}

/// Asks for the present revision.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WatchProgressRequest {}

/// What a watch stream tells.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WatchResponse {
    /// See there.
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    /// The watch it belongs to; -1: the stream.
    #[prost(int64, tag = "2")]
    pub watch_id: i64,
    /// Whether it tells that the watch was created.
    #[prost(bool, tag = "3")]
    pub created: bool,
    /// Whether it tells that the watch has ended.
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    /// Not 0: the watch wanted older changes than this revision, which is the oldest there is.
    #[prost(int64, tag = "5")]
    pub compact_revision: i64,
    /// Why the watch has ended.
    #[prost(string, tag = "6")]
    pub cancel_reason: String,
    /// Whether more fragments of the same answer follow.
    #[prost(bool, tag = "7")]
    pub fragment: bool,
    /// What has happened, in order of revisions.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<KeyEvent>,
}

/// What happened to one key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyEvent {
    /// 0: written; 1: deleted.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The key after it; of a deleted one only key and revision.
    #[prost(message, optional, tag = "2")]
    pub kv: Option<KeyValue>,
}

impl KeyEvent {
    /// [`KeyEvent::kind`] of a deletion.
    pub const DELETED: i32 = 1;
}

/// `etcdserverpb.Auth/Authenticate`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct AuthenticateRequest {
    /// The user.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The user's password.
    #[prost(string, tag = "2")]
    pub password: String,
}

/// The answer to [`AuthenticateRequest`].
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct AuthenticateResponse {
    /// What further requests have in their metadata.
    #[prost(string, tag = "2")]
    pub token: String,
}

/// `etcdserverpb.Maintenance/Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusRequest {}

/// The answer to [`StatusRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusResponse {
    /// The server's version, such as `3.4.23`.
    #[prost(string, tag = "2")]
    pub version: String,
    /// The leader's id; 0 means that this member knows none.
    #[prost(uint64, tag = "4")]
    pub leader: u64,
    /// Whether the member takes part without a vote, and serves no reads.
    #[prost(bool, tag = "10")]
    pub is_learner: bool,
}
