// Serves the identity provider and the authorization server on loopback.
//
//   node server.mjs RESOURCE
//
// The first line on stdout says, as JSON, what an administrator would hand out:
// issuers, client ids, a secret and a key, all made at this start. Every later
// line is something that happened. A JSON object on a line of stdin changes
// settings; the end of stdin is the end of the server, so that it cannot
// outlive the test that started it.
import { randomBytes } from 'node:crypto';

import { authorizationServer } from './as.mjs';
import { identityProvider } from './idp.mjs';
import { listen, newKey, obey, say } from './process.mjs';

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
await obey(settings);
