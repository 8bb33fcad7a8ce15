// The identity provider: oidc-provider as it comes, and one registered grant,
// which issues ID-JAGs (draft-ietf-oauth-identity-assertion-authz-grant-04).
//
// The sign-in, the ID token, refresh and its rotation, revocation and client
// authentication are the certified library's. The exchange is ours: it shows
// that the wire format passes through a stranger's server, not that two
// independent implementations of the draft agree.
import Provider, { errors } from 'oidc-provider';
import { SignJWT, createLocalJWKSet, jwtVerify } from 'jose';
import { createHash, randomBytes, randomUUID } from 'node:crypto';

import { errorPage } from './pages.mjs';
import { findAccount, people, withPages } from './people.mjs';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';
const REFRESH_TOKEN = 'urn:ietf:params:oauth:token-type:refresh_token';

// identityProvider makes the request handler for issuer. connections maps the
// issuer of an authorization server to {resource, clientId, scopes, people}.
// settings is read at every request, note(event) is called for what happened.
export function identityProvider({ issuer, client, key, connections, settings, note }) {
  const provider = new Provider(issuer, {
    clients: [{
      ...client,
      application_type: 'native',
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', TOKEN_EXCHANGE],
      id_token_signed_response_alg: 'ES256',
    }],
    jwks: { keys: [key.private] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    scopes: ['openid', 'offline_access', 'email', 'profile'],
    claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: 600, AuthorizationCode: 60, Grant: 86400, Interaction: 600, RefreshToken: 86400, Session: 86400,
      IdToken: () => settings.idTokenSeconds,
    },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: false },
    },
    discovery: { identity_chaining_requested_token_types_supported: [ID_JAG] },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount,
    renderError: (ctx, out) => { ctx.type = 'html'; ctx.body = errorPage(out); },
  });
  // The answers to a client are flat on purpose; this is where the reason is.
  provider.on('grant.error', (ctx, error) => note({ party: 'idp', refused: error.error, why: error.error_detail ?? error.error_description }));
  provider.on('server_error', (ctx, error) => note({ party: 'idp', failed: String(error.stack) }));
  provider.on('grant.success', (ctx) => note({ party: 'idp', granted: ctx.oidc.params.grant_type }));
  provider.on('grant.revoked', () => note({ party: 'idp', revoked: 'grant' }));
  provider.on('refresh_token.destroyed', () => note({ party: 'idp', revoked: 'refresh_token' }));

  const ownKeys = createLocalJWKSet({ keys: [key.public] });

  // subject resolves the subject token to a person (RFC 8693 section 2.1).
  async function subject(token, type, clientId) {
    switch (type) {
      case ID_TOKEN: {
        const { payload } = await jwtVerify(token, ownKeys, { issuer, audience: clientId })
          .catch((e) => { throw new errors.InvalidGrant(`subject_token: ${e.code}`); });
        return payload.sub;
      }
      case REFRESH_TOKEN: {
        const found = await provider.RefreshToken.find(token);
        if (!found?.isValid || found.clientId !== clientId) throw new errors.InvalidGrant('subject_token: unknown refresh token');
        return found.accountId;
      }
      default:
        throw new errors.InvalidRequest('subject_token_type is not one of ours');
    }
  }

  const params = ['requested_token_type', 'audience', 'resource', 'scope', 'subject_token', 'subject_token_type'];
  provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
    const p = ctx.oidc.params;
    const clientId = ctx.oidc.client.clientId;
    if (p.requested_token_type !== ID_JAG) throw new errors.InvalidRequest('requested_token_type must be an ID-JAG');
    for (const name of ['audience', 'resource', 'subject_token', 'subject_token_type']) {
      if (typeof p[name] !== 'string' || p[name] === '') throw new errors.InvalidRequest(`${name} is missing`);
    }
    const person = await subject(p.subject_token, p.subject_token_type, clientId);
    const connection = connections[p.audience];
    if (!connection || connection.resource !== p.resource) throw new errors.InvalidTarget('no such connection');
    if (!settings.allowed.includes(person)) throw new errors.AccessDenied('company policy');
    const asked = p.scope ? p.scope.split(' ') : connection.scopes;
    const scope = asked.filter((s) => connection.scopes.includes(s)).join(' ');
    const jag = await new SignJWT({ client_id: connection.clientId, resource: p.resource, scope, email: people[person].email })
      .setProtectedHeader({ alg: 'ES256', typ: 'oauth-id-jag+jwt', kid: key.public.kid })
      .setIssuer(issuer).setSubject(person).setAudience(p.audience)
      .setIssuedAt().setExpirationTime('5m').setJti(randomUUID())
      .sign(key.signer);
    ctx.body = { access_token: jag, issued_token_type: ID_JAG, token_type: 'N_A', expires_in: 300, scope };
    note({ party: 'idp', exchanged: person, with: p.subject_token_type, digest: createHash('sha256').update(jag).digest('hex').slice(0, 8) });
  }, params);

  return { issuer, handler: withPages(provider) };
}
