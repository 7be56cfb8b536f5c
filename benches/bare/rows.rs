//! The rows of the benchmarks: every peer is filled with the same ones, each made from its number alone.
//!
//! A row is an activity of about 570 bytes of JSON as a client would post it. Half of all rows are of project 0, the
//! rest of nine others; 15 % have the action `smtp.update`, 7 % are of user 0 (so 3.5 % of all are his in project 0),
//! the rest of 199 others; a project has one to two thousand targets of a type. They are spread over the two years
//! before `end`, in order but for neighbours.

/// The two years that the rows are spread over, in microseconds.
pub const SPAN: i64 = 730 * 86_400 * 1_000_000;
pub const PROJECTS: usize = 10;

/// The actions with the type of their targets; the first has 15 % of the rows, the others share the rest.
const ACTIONS: [(&str, &str); 18] = [
    ("smtp.update", "project"),
    ("project.launch", "project"),
    ("project.rename", "project"),
    ("bounce_imap.update", "project"),
    ("bounce_token.rotate", "project"),
    ("api_key.import", "api_key"),
    ("api_key.expire", "api_key"),
    ("webhook.create", "webhook"),
    ("webhook.delete", "webhook"),
    ("suppression.add", "suppression"),
    ("suppression.delete", "suppression"),
    ("segment.created", "segment"),
    ("segment.updated", "segment"),
    ("newsletter.updated", "newsletter"),
    ("workspace.member_joined", "workspace"),
    ("workspace.member_role_change", "workspace"),
    ("broadcast.send", "template"),
    ("field.updated", "field"),
];

const USER_AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "senddock-js/0.8.0 (node 20.12.2; linux x64)",
];

const WORDS: [&str; 16] = [
    "spring",
    "newsletter",
    "customers",
    "berlin",
    "weekly",
    "digest",
    "launch",
    "partners",
    "invoice",
    "welcome",
    "beta",
    "archive",
    "holiday",
    "support",
    "events",
    "press",
];

pub struct Row {
    pub project: usize,
    pub user_id: String,
    pub action: &'static str,
    pub target_type: &'static str,
    pub target_id: String,
    /// An object, as JSON text.
    pub metadata: String,
    pub ip_address: String,
    pub user_agent: &'static str,
    /// Microseconds since 1970.
    pub created_at: i64,
}

impl Row {
    /// Row `number` of `count`, which end at `end` (microseconds since 1970).
    pub fn new(number: u64, count: u64, end: i64) -> Self {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6d61_696c_7472_6169);
        let project = if random.below(2) == 0 { 0 } else { 1 + random.below(PROJECTS as u64 - 1) as usize };
        let (action, target_type) = if random.below(100) < 15 {
            ACTIONS[0]
        } else {
            ACTIONS[1 + random.below(ACTIONS.len() as u64 - 1) as usize]
        };
        let user = if random.below(100) < 7 { 0 } else { 1 + random.below(199) };
        // As SendDock's handlers fill it: most of what is done in a project has the project as its target.
        let n_targets = match target_type {
            "project" | "workspace" => 1,
            "suppression" => 2000,
            _ => 40,
        };
        let kind = u64::from(target_type.as_bytes()[0]) * 31 + target_type.len() as u64;
        let target_id = uuid((kind * 100 + project as u64) * 1_000_000 + random.below(n_targets));
        let word = |random: &mut Random| WORDS[random.below(WORDS.len() as u64) as usize];
        let (name, old) = (word(&mut random), word(&mut random));
        let number_in_name = random.below(1000);
        let metadata = format!(
            "{{\"name\":\"{name} {old} {number_in_name}\",\"before\":{{\"host\":\"smtp.{old}.example.org\",\"port\":587,\
             \"from\":\"{old}@example.org\"}},\
             \"after\":{{\"host\":\"smtp.{name}.example.org\",\"port\":465,\
             \"from\":\"{name}@example.org\"}},\"request_id\":\"{:016x}\"}}",
            random.next(),
        );
        let ip_address = format!("203.0.{}.{}", 100 + user % 20, 1 + random.below(12) * 20);
        let user_agent = USER_AGENTS[((user + random.below(2)) % USER_AGENTS.len() as u64) as usize];
        let step = SPAN / count as i64;
        let slot = (SPAN as i128 * (number as i128 + 1) / count as i128) as i64;
        let created_at = end - SPAN + slot - random.below(4 * step as u64) as i64;
        Self {
            project,
            user_id: uuid(user),
            action,
            target_type,
            target_id,
            metadata,
            ip_address,
            user_agent,
            created_at,
        }
    }

    /// As a client posts it.
    pub fn json(&self) -> String {
        let Self { user_id, action, target_type, target_id, metadata, ip_address, user_agent, .. } = self;
        let created_at = rfc3339(self.created_at);
        format!(
            r#"{{"user_id":"{user_id}","action":"{action}","target_type":"{target_type}","target_id":"{target_id}","#,
        ) + &format!(
            r#""metadata":{metadata},"ip_address":"{ip_address}","user_agent":"{user_agent}","created_at":"{created_at}"}}"#,
        )
    }

    /// Its values with tabs between, the number of the project first: what PostgreSQL's COPY reads.
    pub fn tabs(&self) -> String {
        let (project, created_at) = (self.project.to_string(), rfc3339(self.created_at));
        let (first, last) =
            ([&project, &self.user_id, self.action, self.target_type], [self.user_agent, &created_at]);
        let middle: [&str; 3] = [&self.target_id, &self.metadata, &self.ip_address];
        [&first[..], &middle, &last].concat().join("\t")
    }
}

/// The UUID of a user or target by its number.
pub fn uuid(number: u64) -> String {
    let mut random = Random(number.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95));
    let high = (u128::from(random.next()) << 64) | u128::from(random.next());
    uuid::Builder::from_random_bytes(high.to_be_bytes()).into_uuid().to_string()
}

fn rfc3339(micros: i64) -> String {
    mailtrail::time::Timestamp::from_micros(micros).to_string()
}

/// SplitMix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
