// The incumbent: SendDock's audit log as Node 20, Fastify and PostgreSQL would serve it, with the parameters and the
// envelope that mailtrail has. One process, a pool of ten connections, prepared statements, a schema for answers.
//
//   GET  /api/v1/projects/:id/audit-log?limit&offset&action&from&to&user_id   {entries, total}, total by COUNT(*)
//   POST /api/v1/projects/:id/audit-log                                       one entry, or {entries: […]} in one transaction

import Fastify from "fastify";
import pg from "pg";

// Timestamps stay text: nobody here calculates with them, and making a Date of each costs time.
pg.types.setTypeParser(1184, (text) => text);

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const app = Fastify({ logger: false, bodyLimit: 16 * 1024 * 1024 });

const COLUMNS = "id, user_id, action, target_type, target_id, metadata, ip_address, user_agent, created_at";
const text = { type: ["string", "null"] };
const entry = {
  type: "object",
  properties: {
    id: text, user_id: text, action: text, target_type: text, target_id: text,
    metadata: { type: "object", additionalProperties: true }, ip_address: text, user_agent: text, created_at: text,
  },
};
const page = { type: "object", properties: { entries: { type: "array", items: entry }, total: { type: "integer" } } };

app.get("/api/v1/projects/:id/audit-log", { schema: { response: { 200: page } } }, async (request) => {
  const { limit, offset, action, from, to, user_id: user } = request.query;
  const conditions = ["project_id = $1"];
  const values = [request.params.id];
  const add = (condition, value) => {
    if (value !== undefined) conditions.push(condition + "$" + values.push(value));
  };
  add("action = ", action);
  add("user_id = ", user);
  add("created_at >= ", from);
  add("created_at < ", to);
  const where = conditions.join(" AND ");
  const n = values.length;
  const rows = `SELECT ${COLUMNS} FROM audit_log WHERE ${where} ORDER BY created_at DESC LIMIT $${n + 1} OFFSET $${n + 2}`;
  const count = `SELECT count(*) FROM audit_log WHERE ${where}`;
  const bounds = [Math.min(Math.max(Number(limit ?? 50), 1), 200), Number(offset ?? 0)];
  // Both at once, on two connections: what one would do to be quick.
  const [entries, total] = await Promise.all([
    pool.query({ name: "rows " + where, text: rows, values: [...values, ...bounds] }),
    pool.query({ name: "count " + where, text: count, values }),
  ]);
  return { entries: entries.rows, total: Number(total.rows[0].count) };
});

const INSERT = `INSERT INTO audit_log (project_id, user_id, action, target_type, target_id, metadata, ip_address, user_agent,
  created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9::timestamptz, now())) RETURNING ${COLUMNS}`;

// A batch is one statement over arrays, the quickest way through this driver.
const INSERT_MANY = `INSERT INTO audit_log (project_id, user_id, action, target_type, target_id, metadata, ip_address,
  user_agent, created_at) SELECT $1, e.user_id, e.action, e.target_type, e.target_id, e.metadata, e.ip_address, e.user_agent,
  coalesce(e.created_at, now()) FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::inet[], $8::text[],
  $9::timestamptz[]) AS e (user_id, action, target_type, target_id, metadata, ip_address, user_agent, created_at) RETURNING id`;

app.post("/api/v1/projects/:id/audit-log", async (request, reply) => {
  const project = request.params.id;
  const list = request.body.entries;
  reply.code(201);
  if (list === undefined) {
    const e = request.body;
    const values = [project, e.user_id, e.action, e.target_type, e.target_id, e.metadata, e.ip_address, e.user_agent, e.created_at];
    return (await pool.query({ name: "insert", text: INSERT, values })).rows[0];
  }
  const column = (name) => list.map((e) => e[name] ?? null);
  const values = [
    project, column("user_id"), column("action"), column("target_type"), column("target_id"),
    list.map((e) => JSON.stringify(e.metadata ?? {})), column("ip_address"), column("user_agent"), column("created_at"),
  ];
  const { rows } = await pool.query({ name: "insert many", text: INSERT_MANY, values });
  return { count: rows.length, first_id: rows[0].id, last_id: rows.at(-1).id };
});

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
