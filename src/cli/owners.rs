//! The owners' commands: workspaces, people, tenants, mailboxes, projects, keys, licenses.

use std::io::Read;

use serde_json::{Map, Value, json};

use super::Context;
use super::arguments::{
    InvitationCommand, KeyCommand, LicenseCommand, MailboxCommand, ProjectCommand, TenantCommand,
    UserCommand, WorkspaceCommand,
};
use super::client::Client;
use super::setup::{read_another_line, read_line};
use super::table::{card, cell, table};
use crate::auth::password;
use crate::canonical::{is_same_address, unbracketed};
use crate::error::{Error, Result};
use crate::http::Method;

const ADMIN: &str = "/api/v1/admin";

/// One family of objects: where its routes are, and how a list of it looks.
struct Family {
    path: &'static str,
    word: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

const WORKSPACES: Family = Family {
    path: "workspaces",
    word: "workspaces",
    columns: &[("ID", "/id"), ("NAME", "/name"), ("CREATED", "/created_at")],
};
const USERS: Family = Family {
    path: "users",
    word: "users",
    columns: &[("ID", "/id"), ("EMAIL", "/email"), ("ROLE", "/role"), ("JOINED", "/joined_at")],
};
const INVITATIONS: Family = Family {
    path: "invitations",
    word: "invitations",
    columns: &[("ID", "/id"), ("EMAIL", "/email"), ("ROLE", "/role"), ("OPEN UNTIL", "/expires_at")],
};
const TENANTS: Family = Family {
    path: "tenants",
    word: "tenants",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/tenant_name"),
        ("DOMAIN", "/tenant_domain"),
        ("MAILBOXES", "/mailbox_count"),
        ("HOLD", "/legal_hold"),
    ],
};
const MAILBOXES: Family = Family {
    path: "mailboxes",
    word: "mailboxes",
    columns: &[
        ("ID", "/id"),
        ("ADDRESS", "/primary_smtp"),
        ("TENANT", "/tenant_name"),
        ("LIMIT", "/daily_send_limit"),
        ("TODAY", "/sends_today"),
        ("BLOCKED", "/blocked_at"),
        ("DAYS", "/retention_days"),
        ("HOLD", "/legal_hold"),
    ],
};
const PROJECTS: Family = Family {
    path: "projects",
    word: "projects",
    columns: &[("ID", "/id"), ("NAME", "/name"), ("HOLD", "/legal_hold"), ("CREATED", "/created_at")],
};
const KEYS: Family = Family {
    path: "keys",
    word: "keys",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/name"),
        ("KEY", "/hint"),
        ("SCOPES", "/scopes"),
        ("EXPIRES", "/expires_at"),
        ("REVOKED", "/revoked_at"),
        ("LAST USED", "/last_used_at"),
    ],
};
const LICENSES: Family = Family {
    path: "licenses",
    word: "licenses",
    columns: &[
        ("ID", "/id"),
        ("HOLDER", "/holder"),
        ("PLAN", "/plan"),
        ("ISSUED", "/issued_at"),
        ("EXPIRES", "/expires_at"),
        ("VALID", "/valid"),
    ],
};

/// The verbs every family has.
struct Verbs<'a> {
    context: &'a Context,
    client: Client,
    family: Family,
}

impl<'a> Verbs<'a> {
    fn of(context: &'a Context, family: Family) -> Result<Self> {
        Ok(Self { context, client: Client::open(context)?, family })
    }

    fn path(&self, id: &str) -> String {
        let id = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
        format!("{ADMIN}/{}/{id}", self.family.path)
    }

    fn create(&self, members: Value) -> Result<()> {
        let mut members = without_null(members);
        if let Some(workspace) = &self.context.workspace
            && !matches!(self.family.path, "workspaces" | "licenses")
        {
            members["workspace_id"] = workspace.as_str().into();
        }
        let made = self.client.post(&format!("{ADMIN}/{}", self.family.path), &members)?;
        self.context.answer(&made, card)
    }

    fn rows(&self) -> Result<Vec<Value>> {
        let own_workspace = !matches!(self.family.path, "workspaces" | "licenses");
        let query =
            self.context.workspace.iter().filter(|_| own_workspace).map(|id| ("workspace_id", id.clone()));
        let mut rows = Vec::new();
        let path = format!("{ADMIN}/{}", self.family.path);
        self.client.pages(&path, &query.collect::<Vec<_>>(), self.family.word, |page| {
            rows.extend(page);
            false
        })?;
        Ok(rows)
    }

    fn list(&self) -> Result<()> {
        let rows = self.rows()?;
        self.context.answer(&json!({ self.family.word: rows, "count": rows.len() }), |_| {
            table(&rows, self.family.columns)
        })
    }

    fn show(&self, id: &str) -> Result<()> {
        self.context.answer(&self.client.get(&self.path(id), Vec::new())?, card)
    }

    fn set(&self, id: &str, members: &Value) -> Result<()> {
        if members.as_object().is_some_and(Map::is_empty) {
            return Err(Error::usage("nothing to set", "name what is to change; --help lists it"));
        }
        self.context.answer(&self.client.patch(&self.path(id), members)?, card)
    }

    fn delete(&self, id: &str) -> Result<()> {
        self.client.delete(&self.path(id))?;
        self.context.answer(&json!({ "id": id, "deleted": true }), |_| {
            format!("{id} is deleted; what is recorded of it stays")
        })
    }

    fn hold(&self, id: &str, hold: bool) -> Result<()> {
        self.set(id, &json!({ "legal_hold": hold }))
    }
}

fn without_null(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect())
        }
        other => other,
    }
}

pub fn workspace(context: &Context, command: &WorkspaceCommand) -> Result<()> {
    let verbs = Verbs::of(context, WORKSPACES)?;
    match command {
        WorkspaceCommand::Create { name } => verbs.create(json!({ "name": name })),
        WorkspaceCommand::List => verbs.list(),
        WorkspaceCommand::Show { id } => verbs.show(id),
        WorkspaceCommand::Set { id, name } => verbs.set(id, &json!({ "name": name })),
        WorkspaceCommand::Hold { id } => verbs.hold(id, true),
        WorkspaceCommand::Release { id } => verbs.hold(id, false),
        WorkspaceCommand::Delete { id } => verbs.delete(id),
    }
}

pub fn user(context: &Context, command: &UserCommand) -> Result<()> {
    let given = |from_stdin: &bool| from_stdin.then(|| read_line("password")).transpose();
    match command {
        UserCommand::Create { email, role, name, password_stdin } => {
            let given = given(password_stdin)?;
            let made_password = given.is_none().then(password::generate);
            let password = given.as_ref().or(made_password.as_ref());
            let members = json!({ "email": email, "role": role, "name": name, "password": password });
            let mut made = post_user(context, members)?;
            if let (Some(password), Value::Null) = (made_password, &made["token"]) {
                made["password"] = password.into();
            }
            show_user(context, &made)
        }
        UserCommand::Invite { email, role, name } => {
            show_user(context, &post_user(context, json!({ "email": email, "role": role, "name": name }))?)
        }
        UserCommand::List => Verbs::of(context, USERS)?.list(),
        UserCommand::Show { id } => Verbs::of(context, USERS)?.show(id),
        UserCommand::Set { id, role, password_stdin } => {
            let members = without_null(json!({ "role": role, "password": given(password_stdin)? }));
            Verbs::of(context, USERS)?.set(id, &members)
        }
        UserCommand::Delete { id } => Verbs::of(context, USERS)?.delete(id),
    }
}

fn post_user(context: &Context, members: Value) -> Result<Value> {
    let mut members = without_null(members);
    if let Some(workspace) = &context.workspace {
        members["workspace_id"] = workspace.as_str().into();
    }
    Client::open(context)?.post(&format!("{ADMIN}/users"), &members)
}

/// A member that was made, or an invitation.
fn show_user(context: &Context, made: &Value) -> Result<()> {
    context.answer(made, |made| {
        let told = match (&made["token"], &made["password"]) {
            (Value::String(_), _) => {
                "\nInvited. The link is shown this once; who has it can accept with `mailtrail invitation accept`,\n\
                 or with a POST of {\"password\":…} to the path on this server."
            }
            (_, Value::String(_)) => "\nThe password is shown this once.",
            _ => "",
        };
        format!("{}{told}", card(made))
    })
}

pub fn invitation(context: &Context, command: &InvitationCommand) -> Result<()> {
    match command {
        InvitationCommand::List => Verbs::of(context, INVITATIONS)?.list(),
        InvitationCommand::Withdraw { id } => {
            let verbs = Verbs::of(context, INVITATIONS)?;
            verbs.client.delete(&verbs.path(id))?;
            context.answer(&json!({ "id": id, "withdrawn": true }), |_| format!("{id} is withdrawn"))
        }
        InvitationCommand::Accept => {
            // Read first: what writes it may be a command that needs the directory too.
            let (link, password) = (read_line("link")?, read_line("password")?);
            let members = json!({ "password": password, "new_password": read_another_line()? });
            let token = link.rsplit('/').next().unwrap_or_default();
            let token = percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC);
            let path = format!("/api/v1/invitations/{token}");
            let joined = Client::open(context)?.post(&path, &without_null(members))?;
            context.answer(&joined, card)
        }
    }
}

pub fn tenant(context: &Context, command: &TenantCommand) -> Result<()> {
    let verbs = Verbs::of(context, TENANTS)?;
    match command {
        TenantCommand::Create { name, domain, id } => {
            verbs.create(json!({ "name": name, "domain": domain, "tenant_id": id }))
        }
        TenantCommand::List => verbs.list(),
        TenantCommand::Show { id } => verbs.show(id),
        TenantCommand::Set { id, name } => verbs.set(id, &json!({ "name": name })),
        TenantCommand::Hold { id } => verbs.hold(id, true),
        TenantCommand::Release { id } => verbs.hold(id, false),
        TenantCommand::Delete { id } => verbs.delete(id),
    }
}

pub fn project(context: &Context, command: &ProjectCommand) -> Result<()> {
    let verbs = Verbs::of(context, PROJECTS)?;
    match command {
        ProjectCommand::Create { name } => verbs.create(json!({ "name": name })),
        ProjectCommand::List => verbs.list(),
        ProjectCommand::Show { id } => verbs.show(id),
        ProjectCommand::Set { id, name } => verbs.set(id, &json!({ "name": name })),
        ProjectCommand::Hold { id } => verbs.hold(id, true),
        ProjectCommand::Release { id } => verbs.hold(id, false),
        ProjectCommand::Delete { id } => verbs.delete(id),
    }
}

pub fn mailbox(context: &Context, command: &MailboxCommand) -> Result<()> {
    let policy = match command {
        MailboxCommand::Policy { file: Some(file), .. } => Some(read_json(file)?),
        _ => None,
    };
    let verbs = Verbs::of(context, MAILBOXES)?;
    match command {
        MailboxCommand::Create { address, tenant, daily_send_limit, name } => verbs.create(json!({
            "address": address, "tenant_id": tenant, "daily_send_limit": daily_send_limit, "name": name,
        })),
        MailboxCommand::List => verbs.list(),
        MailboxCommand::Show { id } => verbs.show(&number(&verbs.client, context, id)?),
        MailboxCommand::Set { id, daily_send_limit, tenant, name } => {
            let mut members = Map::new();
            if let Some(limit) = daily_send_limit {
                members.insert("daily_send_limit".into(), limit_value(limit)?);
            }
            if let Some(tenant) = tenant {
                let value = if tenant == "none" { Value::Null } else { tenant.as_str().into() };
                members.insert("tenant_id".into(), value);
            }
            if let Some(name) = name {
                members.insert("name".into(), name.as_str().into());
            }
            verbs.set(&number(&verbs.client, context, id)?, &Value::Object(members))
        }
        MailboxCommand::Policy { id, .. } => {
            let path = format!("/v1/mailboxes/{}/policy", number(&verbs.client, context, id)?);
            let shown = match policy {
                None => verbs.client.get(&path, Vec::new())?,
                Some(policy) => verbs.client.change(Method::Put, &path, &policy)?,
            };
            context.answer(&shown, |shown| serde_json::to_string_pretty(shown).unwrap_or_default())
        }
        MailboxCommand::Hold { id } => verbs.hold(&number(&verbs.client, context, id)?, true),
        MailboxCommand::Release { id } => verbs.hold(&number(&verbs.client, context, id)?, false),
        MailboxCommand::Delete { id } => verbs.delete(&number(&verbs.client, context, id)?),
    }
}

fn limit_value(text: &str) -> Result<Value> {
    if text == "none" {
        return Ok(Value::Null);
    }
    let refused =
        || Error::usage(format!("--daily-send-limit {text:?} is not a number"), "give a number, or none");
    text.parse::<u64>().map(Value::from).map_err(|_| refused())
}

fn read_json(file: &std::path::Path) -> Result<Value> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| {
        Error::usage(format!("cannot read {}: {error}", file.display()), "name a readable file")
    })?;
    crate::http::json::parse(text.as_bytes())
}

/// The number of a mailbox, given by number or address.
pub fn number(client: &Client, context: &Context, given: &str) -> Result<String> {
    if !given.contains('@') {
        return Ok(given.to_owned());
    }
    let given = unbracketed(given);
    let query: Vec<_> = context.workspace.iter().map(|id| ("workspace_id", id.clone())).collect();
    let (mut found, mut is_as_spelled) = (None, false);
    client.pages(&format!("{ADMIN}/mailboxes"), &query, "mailboxes", |page| {
        for mailbox in page {
            let address = mailbox["primary_smtp"].as_str().unwrap_or_default();
            // An older version may have made two of one address: the one that is spelled so is meant, else the first.
            is_as_spelled = address.eq_ignore_ascii_case(given);
            if is_as_spelled || found.is_none() && is_same_address(address, given) {
                found = Some(mailbox);
            }
            if is_as_spelled {
                break;
            }
        }
        is_as_spelled
    })?;
    found.map(|mailbox| cell(&mailbox["id"])).ok_or_else(|| {
        Error::usage(format!("there is no mailbox {given}"), "`mailtrail mailbox list` shows what there is")
    })
}

pub fn key(context: &Context, command: &KeyCommand) -> Result<()> {
    match command {
        KeyCommand::Create { name, scope, expires, key_stdin } => {
            let given = key_stdin.then(|| read_line("key")).transpose()?;
            let members = json!({ "name": name, "scopes": scope, "expires_at": expires, "key": given });
            Verbs::of(context, KEYS)?.create(members)
        }
        KeyCommand::List => Verbs::of(context, KEYS)?.list(),
        KeyCommand::Show { id } => Verbs::of(context, KEYS)?.show(id),
        KeyCommand::Rotate { id, overlap, expires } => {
            let verbs = Verbs::of(context, KEYS)?;
            let body = json!({ "overlap": overlap, "expires_at": expires });
            let made = verbs.client.post(&format!("{}/rotate", verbs.path(id)), &body)?;
            context.answer(&made, card)
        }
        KeyCommand::Revoke { id } => {
            let verbs = Verbs::of(context, KEYS)?;
            verbs.client.delete(&verbs.path(id))?;
            context.answer(&json!({ "id": id, "revoked": true }), |_| format!("{id} is revoked"))
        }
    }
}

pub fn license(context: &Context, command: &LicenseCommand) -> Result<()> {
    let verbs = Verbs::of(context, LICENSES)?;
    match command {
        LicenseCommand::Issue { holder, expires } => {
            verbs.create(json!({ "holder": holder, "expires_at": expires }))
        }
        LicenseCommand::List => verbs.list(),
        LicenseCommand::Show { id } => {
            let found = verbs.rows()?.into_iter().find(|license| license["id"].as_str() == Some(id));
            let license = found.ok_or(Error::NotFound(crate::error::Subject::License))?;
            context.answer(&license, card)
        }
    }
}
