//! The owners' commands: workspaces, people, tenants, mailboxes, projects, keys, licenses.

use serde_json::{Map, Value, json};

use super::Context;
use super::arguments::{
    Id, InvitationCommand, KeyCommand, LicenseCommand, MailboxCommand, ProjectCommand, TenantCommand,
    UserCommand, WorkspaceCommand,
};
use super::client::{Client, encoded};
use super::setup::{read_another_line, read_line};
use super::table::{Column, card, cell};
use crate::auth::password;
use crate::error::{Error, Result};
use crate::http::Method;
use crate::small;

const ADMIN: &str = "/api/v1/admin";

/// One family of objects: where its routes are, and how a list of it looks.
struct Family {
    path: &'static str,
    word: &'static str,
    columns: &'static [Column],
}

const WORKSPACES: Family = Family {
    path: "workspaces",
    word: "workspaces",
    columns: &[("ID", "/id", 0), ("NAME", "/name", 1), ("CREATED", "/created_at", 9)],
};
const USERS: Family = Family {
    path: "users",
    word: "users",
    columns: &[("ID", "/id", 0), ("EMAIL", "/email", 0), ("ROLE", "/role", 1), ("JOINED", "/joined_at", 9)],
};
const INVITATIONS: Family = Family {
    path: "invitations",
    word: "invitations",
    columns: &[
        ("ID", "/id", 0),
        ("EMAIL", "/email", 0),
        ("ROLE", "/role", 1),
        ("OPEN UNTIL", "/expires_at", 5),
    ],
};
const TENANTS: Family = Family {
    path: "tenants",
    word: "tenants",
    columns: &[
        ("ID", "/id", 0),
        ("NAME", "/tenant_name", 1),
        ("DOMAIN", "/tenant_domain", 8),
        ("MAILBOXES", "/mailbox_count", 7),
        ("HOLD", "/legal_hold", 9),
    ],
};
const MAILBOXES: Family = Family {
    path: "mailboxes",
    word: "mailboxes",
    columns: &[
        ("ID", "/id", 0),
        ("ADDRESS", "/primary_smtp", 0),
        ("TENANT", "/tenant_name", 1),
        ("LIMIT", "/daily_send_limit", 2),
        ("TODAY", "/sends_today", 6),
        ("BLOCKED", "/blocked_at", 4),
        ("DAYS", "/retention_days", 7),
        ("HOLD", "/legal_hold", 9),
    ],
};
const PROJECTS: Family = Family {
    path: "projects",
    word: "projects",
    columns: &[
        ("ID", "/id", 0),
        ("NAME", "/name", 1),
        ("HOLD", "/legal_hold", 9),
        ("CREATED", "/created_at", 9),
    ],
};
const KEYS: Family = Family {
    path: "keys",
    word: "keys",
    columns: &[
        ("ID", "/id", 0),
        ("NAME", "/name", 1),
        ("KEY", "/hint", 6),
        ("SCOPES", "/scopes", 4),
        ("EXPIRES", "/expires_at", 5),
        ("REVOKED", "/revoked_at", 3),
        ("LAST USED", "/last_used_at", 8),
    ],
};
const LICENSES: Family = Family {
    path: "licenses",
    word: "licenses",
    columns: &[
        ("ID", "/id", 0),
        ("HOLDER", "/holder", 1),
        ("PLAN", "/plan", 7),
        ("ISSUED", "/issued_at", 8),
        ("EXPIRES", "/expires_at", 5),
        ("VALID", "/valid", 3),
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
        format!("{ADMIN}/{}/{}", self.family.path, encoded(id))
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
        self.rows_where(None)
    }

    /// Those that a parameter of the route means.
    fn rows_where(&self, only: Option<(&'static str, &str)>) -> Result<Vec<Value>> {
        let own_workspace = !matches!(self.family.path, "workspaces" | "licenses");
        let query =
            self.context.workspace.iter().filter(|_| own_workspace).map(|id| ("workspace_id", id.clone()));
        let query = query.chain(only.map(|(name, value)| (name, value.to_owned())));
        let mut rows = Vec::new();
        let path = format!("{ADMIN}/{}", self.family.path);
        self.client.pages(&path, &query.collect::<Vec<_>>(), self.family.word, |page| {
            rows.extend(page);
            false
        })?;
        Ok(rows)
    }

    /// Of all workspaces, unless one is named.
    fn all_rows(&self) -> Result<Vec<Value>> {
        if self.context.workspace.is_some() {
            return self.rows();
        }
        let mut rows = Vec::new();
        let mut workspaces = Vec::new();
        self.client.pages(&format!("{ADMIN}/workspaces"), &[], "workspaces", |page| {
            workspaces.extend(page.iter().map(|workspace| cell(&workspace["id"])));
            false
        })?;
        for workspace in workspaces {
            let query = [("workspace_id", workspace)];
            self.client.pages(
                &format!("{ADMIN}/{}", self.family.path),
                &query,
                self.family.word,
                |page| {
                    rows.extend(page);
                    false
                },
            )?;
        }
        Ok(rows)
    }

    fn list(&self) -> Result<()> {
        self.list_where(None)
    }

    fn list_where(&self, only: Option<(&'static str, &str)>) -> Result<()> {
        let rows = self.rows_where(only)?;
        self.context.answer(&json!({ self.family.word: rows, "count": rows.len() }), |_| {
            self.context.table(&rows, self.family.columns)
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
        let id = &self.client.id_of(self.family.path, id)?;
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
        WorkspaceCommand::Show(Id { id }) => verbs.show(id),
        WorkspaceCommand::Set { id, name } => verbs.set(id, &json!({ "name": name })),
        WorkspaceCommand::Hold(Id { id }) => verbs.hold(id, true),
        WorkspaceCommand::Release(Id { id }) => verbs.hold(id, false),
        WorkspaceCommand::Delete(Id { id }) => verbs.delete(id),
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
        UserCommand::Show(Id { id }) => Verbs::of(context, USERS)?.show(id),
        UserCommand::Set { id, role, password_stdin } => {
            let members = without_null(json!({ "role": role, "password": given(password_stdin)? }));
            Verbs::of(context, USERS)?.set(id, &members)
        }
        UserCommand::Delete(Id { id }) => Verbs::of(context, USERS)?.delete(id),
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
        InvitationCommand::Withdraw(Id { id }) => {
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
        TenantCommand::Show(Id { id }) => verbs.show(id),
        TenantCommand::Set { id, name } => verbs.set(id, &json!({ "name": name })),
        TenantCommand::Hold(Id { id }) => verbs.hold(id, true),
        TenantCommand::Release(Id { id }) => verbs.hold(id, false),
        TenantCommand::Delete(Id { id }) => verbs.delete(id),
    }
}

pub fn project(context: &Context, command: &ProjectCommand) -> Result<()> {
    let verbs = Verbs::of(context, PROJECTS)?;
    match command {
        ProjectCommand::Create { name } => verbs.create(json!({ "name": name })),
        ProjectCommand::List => verbs.list(),
        ProjectCommand::Show(Id { id }) => verbs.show(id),
        ProjectCommand::Set { id, name } => verbs.set(id, &json!({ "name": name })),
        ProjectCommand::Hold(Id { id }) => verbs.hold(id, true),
        ProjectCommand::Release(Id { id }) => verbs.hold(id, false),
        ProjectCommand::Delete(Id { id }) => verbs.delete(id),
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
        MailboxCommand::List { deleted } => verbs.list_where(deleted.then_some(("deleted", "true"))),
        MailboxCommand::Show(Id { id }) => verbs.show(id),
        MailboxCommand::Set { id, daily_send_limit, tenant, retention_days, name } => {
            let mut members = Map::new();
            if let Some(limit) = daily_send_limit {
                members.insert("daily_send_limit".into(), number_or_none("--daily-send-limit", limit)?);
            }
            if let Some(days) = retention_days {
                members.insert("retention_days".into(), number_or_none("--retention-days", days)?);
            }
            if let Some(tenant) = tenant {
                let value = if tenant == "none" { Value::Null } else { tenant.as_str().into() };
                members.insert("tenant_id".into(), value);
            }
            if let Some(name) = name {
                members.insert("name".into(), name.as_str().into());
            }
            verbs.set(id, &Value::Object(members))
        }
        MailboxCommand::Policy { id, .. } => {
            let path = format!("/v1/mailboxes/{}/policy", encoded(&verbs.client.id_of("mailboxes", id)?));
            let shown = match policy {
                None => verbs.client.get(&path, Vec::new())?,
                Some(policy) => verbs.client.change(Method::Put, &path, &policy)?,
            };
            context.answer(&shown, |shown| serde_json::to_string_pretty(shown).unwrap_or_default())
        }
        MailboxCommand::Map => {
            let rows = verbs.all_rows()?;
            context.answer(
                &json!({ "addresses": rows.iter().map(|row| &row["primary_smtp"]).collect::<Vec<_>>() }),
                |_| map(&rows),
            )
        }
        MailboxCommand::Hold(Id { id }) => verbs.hold(id, true),
        MailboxCommand::Release(Id { id }) => verbs.hold(id, false),
        MailboxCommand::Delete(Id { id }) => verbs.delete(id),
    }
}

fn number_or_none(flag: &str, text: &str) -> Result<Value> {
    if text == "none" {
        return Ok(Value::Null);
    }
    let refused = || Error::usage(format!("{flag} {text:?} is not a number"), "give a number, or none");
    text.parse::<u64>().map(Value::from).map_err(|_| refused())
}

/// `ada@example.org OK`, a line a mailbox: who is not in it is refused by Postfix at RCPT.
fn map(rows: &[Value]) -> String {
    let mut addresses: Vec<String> = rows.iter().map(|mailbox| cell(&mailbox["primary_smtp"])).collect();
    addresses.sort();
    // One word for each: of several workspaces the same address may be there twice.
    addresses.dedup();
    addresses.iter().map(|address| format!("{address} OK\n")).collect()
}

fn read_json(file: &std::path::Path) -> Result<Value> {
    let read = match file.as_os_str() == "-" {
        true => small::read(std::io::stdin().lock()),
        false => small::read_file(file),
    };
    let text = read.map_err(|error| {
        Error::usage(format!("cannot read {}: {error}", file.display()), "name a readable file")
    })?;
    crate::http::json::parse(text.as_bytes())
}

pub fn key(context: &Context, command: &KeyCommand) -> Result<()> {
    match command {
        KeyCommand::Create { name, scope, expires, key_stdin } => {
            let given = key_stdin.then(|| read_line("key")).transpose()?;
            let members = json!({ "name": name, "scopes": scope, "expires_at": expires, "key": given });
            Verbs::of(context, KEYS)?.create(members)
        }
        KeyCommand::List => Verbs::of(context, KEYS)?.list(),
        KeyCommand::Show(Id { id }) => Verbs::of(context, KEYS)?.show(id),
        KeyCommand::Rotate { id, overlap, expires } => {
            let verbs = Verbs::of(context, KEYS)?;
            let body = json!({ "overlap": overlap, "expires_at": expires });
            let made = verbs.client.post(&format!("{}/rotate", verbs.path(id)), &body)?;
            context.answer(&made, card)
        }
        KeyCommand::Revoke(Id { id }) => {
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
        LicenseCommand::Show(Id { id }) => {
            let is_meant =
                |license: &Value| [&license["id"], &license["holder"]].iter().any(|text| *text == id);
            let found = verbs.rows()?.into_iter().find(is_meant);
            let license = found.ok_or(Error::NotFound(crate::error::Subject::License))?;
            context.answer(&license, card)
        }
    }
}
