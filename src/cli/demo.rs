//! A look at everything in one command: a scratch directory, real messages and sends through the real doors, served.
//!
//! The messages are real delivery reports (tests/mail, BSD-licensed). Nothing here writes rows by itself: messages go
//! through the gate, sends through the limits, as a mail server's would.

use serde_json::{Value, json};

use super::Context;
use super::client::{Call, Client};
use super::setup::{make, signals, wait};
use super::terminal::print;
use crate::error::{Error, Result};
use crate::http::Method;
use crate::ids::random_hex;
use crate::serve::Running;
use crate::time::Clock;

const EMAIL: &str = "ada@example.org";
/// The servers that put Authentication-Results on these messages.
const AUTHSERV_IDS: &str = "mx.google.com,gmr-mx.google.com,mx4.example.jp,o.example.com";

macro_rules! messages {
    ($($name:literal),* $(,)?) => {
        [$(include_bytes!(concat!("../../tests/mail/", $name, ".eml")).as_slice()),*]
    };
}

const MESSAGES: [&[u8]; 16] = messages![
    "lhost-gmail-01",
    "lhost-gmail-15",
    "lhost-googlegroups-01",
    "lhost-googlegroups-04",
    "lhost-postfix-04",
    "lhost-postfix-17",
    "lhost-postfix-62",
    "lhost-exim-60",
    "lhost-sendmail-43",
    "lhost-outlook-01",
    "lhost-amazonses-05",
    "lhost-yahoo-01",
    "rfc3464-53",
    "rhost-google-06",
    "rhost-gsuite-05",
    "arf-01",
];

pub fn run(context: Context) -> Result<()> {
    let mut config = context.config;
    config.data = std::env::temp_dir().join(format!("mailtrail-demo-{}", random_hex::<4>()));
    config.authserv_ids = AUTHSERV_IDS.split(',').map(str::to_owned).collect();
    // The reports are years old: retention by their own time would take them at once.
    (config.enforcement_days, config.messages_days, config.activity_days) = (None, None, None);
    // A scratch directory may be small.
    config.disk_reserve = 0;
    // `mailtrail config` shows what is in force here too.
    let forced = [
        ("data", config.data.display().to_string()),
        ("authserv_ids", AUTHSERV_IDS.to_owned()),
        ("retention_days", "forever".to_owned()),
        ("enforcement_retention_days", String::new()),
        ("messages_retention_days", String::new()),
        ("activity_retention_days", "forever".to_owned()),
        ("disk_reserve", "0".to_owned()),
    ];
    for (key, value) in forced {
        for given in config.given.iter_mut().filter(|given| given.key == key) {
            (given.value, given.origin) = (value.clone(), "demo".to_owned());
        }
    }
    let data = config.data.clone();
    let shown = (|| {
        let made = make(&config, EMAIL, "Demo", None)?;
        let filled = fill(&made.client, &made.answer["user_id"])?;
        Ok::<_, Error>((made.answer, filled))
    })();
    let served = shown.and_then(|(made, filled)| {
        config.license_key = None;
        let signals = signals()?;
        let running = Running::start(config, Clock::system())?;
        show(&running.url(), &made, &filled, &data, context.json)?;
        wait(running, &signals)
    });
    let removed =
        std::fs::remove_dir_all(&data).map_err(Error::io(format!("cannot remove {}", data.display())));
    served.and(removed)
}

/// What the curl lines need.
struct Filled {
    tenant: String,
    mailbox: String,
    project: String,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `owner` is who changed the settings.
fn fill(client: &Client, owner: &Value) -> Result<Filled> {
    let tenant = client.post("/v1/tenants", &json!({ "name": "Acme", "domain": "acmecorp.com" }))?;
    let tenant = text(&tenant["id"]);
    let support = client.post("/api/v1/admin/mailboxes", &json!({ "address": "agent@acmecorp.com" }))?;
    let mailbox = text(&support["id"]);
    client.post(
        &format!("/v1/tenants/{tenant}/mailboxes"),
        &json!({ "primary_smtp": "sales@mail.acmecorp.com", "daily_send_limit": 25 }),
    )?;
    let project = client.post("/api/v1/admin/projects", &json!({ "name": "Newsletter" }))?;
    let project = text(&project["id"]);

    let policy = json!({
        "defaultAction": "bounce",
        "senders": [
            { "match": { "domain": "googlemail.com", "requireSpf": true }, "capabilities": ["ingest_conflict_notice"], "rateLimit": { "perDay": 2 } },
            { "match": { "domain": "gmail.com", "requireDkim": true }, "capabilities": ["read_calendar"] },
            { "match": { "domain": "example.co.jp" }, "capabilities": [] },
            { "match": { "domain": "example.jp" }, "capabilities": ["read_calendar", "propose_meeting"] },
            { "match": { "domain": "amazonses.com", "requireDkim": true }, "capabilities": [] },
            { "match": { "domain": "mv-osn-hcb007.ocn.ad.jp" }, "capabilities": [] },
        ],
        "contentGuards": [{ "reject": "(?i)this is an? (email )?abuse report", "reason": "abuse_report" }],
        "auditLog": { "retentionDays": 36500, "includeBodyHash": true },
    });
    client.change(Method::Put, &format!("/v1/mailboxes/{mailbox}/policy"), &policy)?;
    for message in MESSAGES {
        client.send(Call {
            method: Method::Post,
            path: format!("/v1/mailboxes/{mailbox}/inbound"),
            query: Vec::new(),
            headers: vec![("content-type", "message/rfc822".into())],
            body: message.to_vec(),
        })?;
    }
    for _ in 0..27 {
        let send = json!({ "tenant_id": tenant, "mailbox_address": "sales@mail.acmecorp.com" });
        client.post("/v1/enforcement/sends", &send)?;
    }
    let activity = |action: &str, metadata: Value| {
        json!({
            "user_id": owner, "action": action, "target_type": "project", "target_id": project,
            "metadata": metadata, "ip_address": "203.0.113.42", "user_agent": "Mozilla/5.0",
        })
    };
    let entries = json!({ "entries": [
        activity("smtp.update", json!({
            "smtp_host": "smtp.mailgun.org", "smtp_user": "postmaster@acme.com", "from_email": "hello@acme.com",
            "smtp_password": "never stored",
        })),
        activity("webhook.create", json!({ "url": "https://acme.com/hook" })),
    ]});
    client.post(&format!("/api/v1/projects/{project}/audit-log"), &entries)?;
    Ok(Filled { tenant, mailbox, project })
}

fn show(url: &str, made: &Value, filled: &Filled, data: &std::path::Path, json: bool) -> Result<()> {
    let Filled { tenant, mailbox, project } = filled;
    let (password, key) = (text(&made["password"]), text(&made["api_key"]));
    if json {
        return print(
            &json!({
                "url": url, "email": EMAIL, "password": password, "api_key": key, "data": data,
                "tenant_id": tenant, "mailbox_id": mailbox, "project_id": project,
            })
            .to_string(),
        );
    }
    let login = json!({ "email": EMAIL, "password": password });
    print(&format!(
        "\
mailtrail demo at {url}

  login    {EMAIL}
  password {password}
  API key  {key}

Why was this mailbox blocked?

  curl -s -H 'Authorization: Bearer {key}' '{url}/v1/enforcement/events?tenant_id={tenant}'

What happened to these messages?

  curl -s -H 'Authorization: Bearer {key}' '{url}/v1/mailboxes/{mailbox}/audit-logs?limit=5'

Who changed this setting?

  curl -s -o /dev/null -c '{cookies}' -d '{login}' '{url}/api/v1/auth/login' && curl -s -b '{cookies}' '{url}/api/v1/projects/{project}/audit-log'

Everything is in {data} and goes away with Ctrl-C.",
        cookies = data.join("cookies.txt").display(),
        data = data.display(),
    ))
}
