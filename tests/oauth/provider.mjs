// An OpenID provider on loopback (npm `oidc-provider`) with dynamic registration, consent, resource indicators and revocation.
//
//     node provider.mjs RESOURCE jwt|opaque
//
// Its access tokens are for RESOURCE alone, and of the given format. Everybody with a password may sign in. Writes `issuer URL` once it serves.
// INTROSPECTION_SECRET is the secret of the client `relay`, which may ask about tokens.

import http from "node:http";
import { once } from "node:events";
import Provider from "oidc-provider";

const [resource, format] = process.argv.slice(2);
const SCOPES = ["mcp", "write"];

// The port is known before the issuer is.
const server = http.createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: "relay", client_secret: process.env.INTROSPECTION_SECRET, token_endpoint_auth_method: "client_secret_basic", redirect_uris: [], response_types: [], grant_types: [],
  }],
  scopes: ["openid", "offline_access", ...SCOPES],
  // Clients register with the scope that they need first. A provider that holds them to it knows no step-up.
  extraClientMetadata: { properties: ["any_scope"], validator: (ctx, key, value, metadata) => { delete metadata.scope; } },
  clientDefaults: { token_endpoint_auth_method: "none" },
  claims: { openid: ["sub"], profile: ["preferred_username"] },
  pkce: { required: () => true },
  // For clients that may refresh, whatever scope they name: MCP's clients ask for no offline_access that nobody told them of.
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed("refresh_token"),
  rotateRefreshToken: true,
  extraTokenClaims: async () => ({ groups: ["dev"] }),
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, preferred_username: id }) }),
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: async (ctx, asked) => {
        if (asked !== resource) throw new Error(`the resource is ${asked}`);
        return { scope: SCOPES.join(" "), audience: resource, accessTokenFormat: format, accessTokenTTL: 600, jwt: { sign: { alg: "RS256" } } };
      },
    },
  },
});
server.on("request", provider.callback());
console.log(`issuer ${issuer}`);
