//! Explanations for terminals.

use std::fmt::{self, Display, Formatter};

use super::{Chosen, Explained, Other, SeenClause};

impl Display for Explained {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let request = &self.request;
        let scheme = if self.tls { "https" } else { "http" };
        write!(
            f,
            "request      {} {scheme}://{}{}",
            request.method, request.host, request.path
        )?;
        if let Some(query) = &request.query {
            write!(f, "?{query}")?;
        }
        writeln!(f, "  from {}", request.client)?;
        writeln!(
            f,
            "entry point  {}  ({})",
            self.entry_point, self.entry_point_reason
        )?;
        match &self.router {
            Some(router) => router.fmt(f)?,
            None => writeln!(f, "router       none: the answer is 404")?,
        }
        if let Some(refused) = &self.refused {
            writeln!(f, "refused      {refused}")?;
        }
        if !self.others.is_empty() {
            writeln!(f, "\nothers")?;
        }
        self.others.iter().try_for_each(|other| other.fmt(f))?;
        if self.others_left_out > 0 {
            writeln!(f, "  and {} more", self.others_left_out)?;
        }
        write!(f, "\ngeneration   {}", self.generation)
    }
}

impl Display for Chosen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "router       {}  (priority {})",
            self.name, self.priority
        )?;
        self.rule.print(f, 13)?;
        for middleware in &self.middlewares {
            writeln!(
                f,
                "middleware   {}  ({})",
                middleware.name, middleware.type_name
            )?;
        }
        let service = &self.service;
        let strategy = service.strategy.map(|strategy| format!(", {strategy}"));
        writeln!(
            f,
            "service      {}  ({}{})",
            service.name,
            service.type_name,
            strategy.unwrap_or_default()
        )?;
        if service.servers.is_empty() && service.type_name != "internal" {
            writeln!(f, "server       none: the answer is 503")?;
        }
        service.servers.iter().try_for_each(|server| {
            writeln!(f, "server       {}  (weight {})", server.url, server.weight)
        })
    }
}

impl Display for Other {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {}  (priority {}): {}",
            self.name, self.priority, self.text
        )
    }
}

impl SeenClause {
    /// One clause per line, members indented.
    fn print(&self, f: &mut Formatter<'_>, indent: usize) -> fmt::Result {
        let result = if self.matched { "yes" } else { "no" };
        let text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let decides = if self.decides { "  ◄ decides" } else { "" };
        writeln!(f, "{:indent$}{result:<4} {text}{decides}", "")?;
        self.members
            .iter()
            .try_for_each(|member| member.print(f, indent + 5))
    }
}
