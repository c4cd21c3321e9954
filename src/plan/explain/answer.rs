//! What an explanation says, as data for the API and as text for people.

use std::fmt;

use serde::Serialize;

/// The answer. `Display` is for people; the JSON form has the same content.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The generation that was asked.
    pub generation: u64,
    /// The entry point.
    pub entry_point: String,
    /// Whether routers with TLS were asked.
    pub tls: bool,
    /// The method.
    pub method: String,
    /// The host that rules see.
    pub host: String,
    /// The path that rules see.
    pub path: String,
    /// The path that would be forwarded before middlewares, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_path: Option<String>,
    /// The router that gets the request; none: 404.
    pub router: Option<ExplainedRouter>,
    /// Others that match, in order; then those that come nearest to matching.
    pub runners_up: Vec<RunnerUp>,
    /// How many routers the entry point has.
    pub routers: usize,
}

/// The router that gets the request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedRouter {
    /// Qualified name.
    pub name: String,
    /// The rule as configured.
    pub rule: String,
    /// Effective priority.
    pub priority: i64,
    /// The rule's clauses and which of them decided, as a tree of lines.
    pub decision: String,
    /// Middlewares in order.
    pub middlewares: Vec<ExplainedMiddleware>,
    /// The service.
    pub service: ExplainedService,
}

/// A middleware on the way.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedMiddleware {
    /// Qualified name.
    pub name: String,
    /// Its type, such as `stripPrefix`.
    pub r#type: &'static str,
}

/// Where the request goes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedService {
    /// Qualified name.
    pub name: String,
    /// What it does: a strategy, or what the program itself answers.
    pub kind: &'static str,
    /// Its servers.
    pub servers: Vec<ExplainedServer>,
}

/// A server that may get the request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedServer {
    /// Its URL.
    pub url: String,
    /// Its share.
    pub weight: u32,
}

/// A router that does not get the request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunnerUp {
    /// Qualified name.
    pub name: String,
    /// The rule as configured.
    pub rule: String,
    /// Effective priority.
    pub priority: i64,
    /// Whether its rule matches.
    pub matches: bool,
    /// Why it does not get the request.
    pub reason: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.tls { "TLS" } else { "plain" };
        writeln!(
            f,
            "entry point  {} ({kind} connections, {} routers)",
            self.entry_point, self.routers
        )?;
        writeln!(f, "request      {} {}{}", self.method, self.host, self.path)?;
        if let Some(path) = &self.forwarded_path {
            writeln!(f, "forwarded    {path}")?;
        }
        match &self.router {
            Some(router) => write!(f, "{router}")?,
            None => writeln!(f, "router       none: the answer is 404")?,
        }
        if !self.runners_up.is_empty() {
            writeln!(f, "runners-up")?;
        }
        for runner in &self.runners_up {
            writeln!(f, "  {} (priority {})", runner.name, runner.priority)?;
            writeln!(
                f,
                "      {}",
                runner.rule.split_whitespace().collect::<Vec<_>>().join(" ")
            )?;
            writeln!(f, "      {}", runner.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for ExplainedRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "router       {} (priority {})", self.name, self.priority)?;
        for line in self.decision.lines() {
            writeln!(f, "             {line}")?;
        }
        for (index, middleware) in self.middlewares.iter().enumerate() {
            let title = if index == 0 { "middlewares" } else { "" };
            writeln!(f, "{title:<12} {} ({})", middleware.name, middleware.r#type)?;
        }
        writeln!(
            f,
            "service      {} ({})",
            self.service.name, self.service.kind
        )?;
        for (index, server) in self.service.servers.iter().enumerate() {
            let title = if index == 0 { "servers" } else { "" };
            writeln!(f, "{title:<12} {} (weight {})", server.url, server.weight)?;
        }
        if self.service.servers.is_empty() && matches!(self.service.kind, "wrr" | "p2c") {
            writeln!(f, "servers      none: the answer is 503")?;
        }
        Ok(())
    }
}
