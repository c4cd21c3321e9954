//! `ipAllowList` (and its old name `ipWhiteList`): admits clients by address.

use super::client_ip::{IpSet, IpStrategy};
use super::{FieldError, FilterContext, LocalResponse, Verdict};
use crate::config::dynamic::middleware as config;
use crate::http::{RequestHead, status};

/// A compiled `ipAllowList`.
#[derive(Debug)]
pub struct IpAllowList {
    admitted: IpSet,
    strategy: IpStrategy,
    reject_status: u16,
}

impl IpAllowList {
    pub(super) fn compile(config: &config::IpAllowList) -> Result<Self, FieldError> {
        if config.source_range.is_empty() {
            let reason = "is empty, so that no client could pass; give addresses or networks, such as \"10.0.0.0/8\"";
            return Err(FieldError::new("sourceRange", reason));
        }
        let admitted = IpSet::parse(&config.source_range).map_err(|text| {
            let reason =
                format!("{text:?} is neither an address nor a network such as \"10.0.0.0/8\"");
            FieldError::new("sourceRange", reason)
        })?;
        let strategy = match &config.ip_strategy {
            None => IpStrategy::default(),
            Some(strategy) => {
                IpStrategy::compile(strategy.depth, &strategy.excluded_ips, strategy.ipv6_subnet)
                    .map_err(|(field, reason)| FieldError::new(field, reason))?
            }
        };
        let reject_status = match config.reject_status_code {
            0 => 403,
            code => u16::try_from(code)
                .ok()
                .filter(|&code| code >= 200 && status::reason(code).is_some())
                .ok_or_else(|| {
                    FieldError::new(
                        "rejectStatusCode",
                        format!("{code} is no status of a final response; use one such as 403"),
                    )
                })?,
        };
        Ok(IpAllowList {
            admitted,
            strategy,
            reject_status,
        })
    }

    pub(super) fn request(&self, rq: &RequestHead, cx: &FilterContext<'_>) -> Verdict {
        match self.strategy.client(cx.client_ip, &rq.fields) {
            Some(client) if self.admitted.contains(client) => Verdict::Continue,
            _ => Verdict::Respond(LocalResponse::status_text(self.reject_status)),
        }
    }
}
