// Serves the identity provider and the authorization server on loopback.
//
//   node server.mjs RESOURCE
//
// The first line on stdout says, as JSON, what an administrator would hand out:
// issuers, client ids, a secret and a key, all made at this start. Every later
// line is something that happened. A JSON object on a line of stdin changes
// settings; the end of stdin is the end of the server, so that it cannot
// outlive the test that started it.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { randomBytes } from 'node:crypto';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';

import { authorizationServer } from './as.mjs';
import { identityProvider } from './idp.mjs';

// oidc-provider prints its notices with console.info; stdout is for events alone.
console.info = console.warn;

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

async function newKey(kid) {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const marks = { kid, alg: 'ES256', use: 'sig' };
  return {
    signer: privateKey,
    pem: await exportPKCS8(privateKey),
    public: { ...await exportJWK(publicKey), ...marks },
    private: { ...await exportJWK(privateKey), ...marks },
  };
}

// listen binds first: a provider has to know its own address when it is made.
async function listen() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, issuer: `http://127.0.0.1:${server.address().port}` };
}

const [resource] = process.argv.slice(2);
if (!resource) throw new Error('usage: node server.mjs RESOURCE');
const settings = { idTokenSeconds: 3600, accessTokenSeconds: 600, allowed: ['alice'] };
const scopes = ['wiki.read', 'wiki.write'];
const atIdP = await listen();
const atAS = await listen();
const clientKey = await newKey('mcpauth-1');
// Every character that the two ways of writing client_secret_basic disagree on.
const clientSecret = `${randomBytes(16).toString('hex')}:+/%20 &=`;

const idp = identityProvider({
  issuer: atIdP.issuer,
  key: await newKey('idp-1'),
  client: { client_id: 'mcpauth-laptop', client_secret: clientSecret, token_endpoint_auth_method: 'client_secret_basic' },
  connections: { [atAS.issuer]: { resource, clientId: 'mcpauth-at-wiki', scopes } },
  settings,
  note: say,
});
const as = authorizationServer({
  issuer: atAS.issuer,
  idp: idp.issuer,
  idpKeys: `${idp.issuer}/jwks`,
  key: await newKey('as-1'),
  client: { client_id: 'mcpauth-at-wiki', jwks: { keys: [clientKey.public] } },
  resource,
  scopes,
  settings,
  note: say,
});
atIdP.server.on('request', idp.handler);
atAS.server.on('request', as.handler);
say({
  idp: { issuer: idp.issuer, clientId: 'mcpauth-laptop', clientSecret },
  as: { issuer: as.issuer, jwks: `${as.issuer}/jwks`, clientId: 'mcpauth-at-wiki', clientKey: clientKey.pem },
});

for await (const line of createInterface({ input: process.stdin })) {
  Object.assign(settings, JSON.parse(line));
  say({ settings });
}
process.exit(0);
