// Serves oidc-provider as the authorization server of one MCP server, where
// people agree by themselves: the standard flow of MCP.
//
//   node standard.mjs RESOURCE [CLIENT-DOCUMENT-URL]
//
// Registration (RFC 7591), client metadata documents (its draft-02 feature),
// PKCE, resource indicators, rotation, revocation, introspection and DPoP are
// the library's own. Lines on stdin and stdout as in server.mjs.
import Provider from 'oidc-provider';
import { randomBytes } from 'node:crypto';

import { guard } from './guard.mjs';
import { errorPage } from './pages.mjs';
import { findAccount, withPages } from './people.mjs';
import { listen, newKey, obey, say } from './process.mjs';

const [resource, documentURL] = process.argv.slice(2);
if (!resource) throw new Error('usage: node standard.mjs RESOURCE [CLIENT-DOCUMENT-URL]');
const settings = { jwt: false }; // of access tokens
const atAS = await listen();
const { issuer } = atAS;
const key = await newKey('as-1');
// As which the MCP server asks about tokens (RFC 7662).
const server = { client_id: 'wiki-server', client_secret: randomBytes(24).toString('hex') };

const provider = new Provider(issuer, {
  clients: [{ ...server, redirect_uris: [], response_types: [], grant_types: [] }],
  jwks: { keys: [key.private] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clientAuthMethods: ['none', 'private_key_jwt', 'client_secret_basic'],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  // By default the library wants offline_access for it, and drops that scope
  // from requests without prompt=consent. A server that does not list the scope
  // decides by itself (MCP, Refresh Tokens).
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: () => false,
  ttl: { AuthorizationCode: 60, Grant: 86400, Interaction: 600, RefreshToken: 86400, Session: 86400 },
  features: {
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    rpInitiatedLogout: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: !documentURL },
    clientIdMetadataDocument: {
      enabled: Boolean(documentURL), ack: 'draft-02', allowFetch: (_, id) => id === documentURL,
    },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, indicator) => {
        if (indicator !== resource) throw new Error(`nobody knows the resource ${indicator}`);
        return {
          scope: 'wiki.read wiki.write', audience: resource, accessTokenTTL: 600,
          accessTokenFormat: settings.jwt ? 'jwt' : 'opaque', jwt: { sign: { alg: 'ES256' } },
        };
      },
    },
  },
  // The library comes with a dispatcher that refuses documents on loopback. Here
  // they have to be there.
  fetch: (url, { dispatcher, ...options }) => {
    say({ party: 'as', fetched: String(url) });
    return fetch(url, options);
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount,
  renderError: (ctx, out) => { ctx.type = 'html'; ctx.body = errorPage(out); },
});
for (const about of ['authorization', 'grant', 'registration_create', 'revocation']) {
  provider.on(`${about}.error`, (ctx, error) => say({ party: 'as', refused: error.error, why: `${about}: ${error.error_detail ?? error.error_description}` }));
}
provider.on('server_error', (_, error) => say({ party: 'as', failed: String(error.stack) }));
provider.on('grant.success', (ctx) => say({ party: 'as', granted: ctx.oidc.params.grant_type, resource: ctx.oidc.params.resource }));
provider.on('registration_create.success', (_, client) => say({ party: 'as', registered: client.clientId }));
provider.on('grant.revoked', () => say({ party: 'as', revoked: 'grant' }));

const atGuard = await listen();
atAS.server.on('request', withPages(provider));
atGuard.server.on('request', guard({ issuer, jwks: `${issuer}/jwks`, resource }));
say({
  issuer, guard: atGuard.issuer,
  introspection: { endpoint: `${issuer}/token/introspection`, clientID: server.client_id, clientSecret: server.client_secret },
});
await obey(settings);
