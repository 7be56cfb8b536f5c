// The surface of `@mailbuttons/sdk` that the vendor's document uses, over fetch: snake_case on the wire, camelCase here.

const camel = (value) =>
  Array.isArray(value)
    ? value.map(camel)
    : value && typeof value === "object"
      ? Object.fromEntries(
          Object.entries(value).map(([name, member]) => [
            name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()),
            camel(member),
          ]),
        )
      : value;

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export class Mailbuttons {
  constructor({ apiKey, baseUrl = "https://mailbuttons.com/api" }) {
    this.apiKey = apiKey;
    this.baseUrl = baseUrl.replace(/\/+$/, "");
  }

  async getAuditLog(mailboxId, query = {}) {
    const url = new URL(`${this.baseUrl}/v1/mailboxes/${mailboxId}/audit-logs`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(snake(name), value);
    const headers = { Authorization: `Bearer ${this.apiKey}`, Accept: "application/json" };
    const response = await fetch(url, { headers });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return camel(await response.json());
  }
}
