async function getAllEnforcementEvents(apiKey) {
  const limit  = 200;
  let   offset = 0;
  let   all    = [];

  while (true) {
    const res = await fetch(
      `https://api.tenantcore.io/v1/enforcement/events?limit=${limit}&offset=${offset}`,
      { headers: { Authorization: `Bearer ${apiKey}` } }
    );
    const data = await res.json();
    all.push(...data.events);

    if (all.length >= data.total) break;
    offset += limit;
  }

  return all;
}
