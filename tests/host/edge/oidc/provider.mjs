// An OpenID provider (oidc-provider, certified) for the tests of the edge. Arguments: port, file with its private keys (JWKS, made at the first start).
// Everybody may sign in with any password; "ann" is among the operators of alpha, "bob" among those of nothing.
import crypto from 'node:crypto';
import fs from 'node:fs';
import Provider from 'oidc-provider';

const [port, file] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
if (!fs.existsSync(file)) {
    const key = (type, options, use) => {
        const kid = crypto.randomBytes(8).toString('hex');
        return { ...crypto.generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, ...use };
    };
    const keys = [key('rsa', { modulusLength: 2048 }, { alg: 'RS256', use: 'sig' }), key('ec', { namedCurve: 'P-256' }, { alg: 'ES256', use: 'sig' })];
    fs.writeFileSync(file, JSON.stringify({ keys }));
}
const groups = name => (name === 'ann' ? ['staff', 'alpha-operators'] : ['staff']);
const callback = tenant => `https://${tenant}.agents.test/.tenantd/callback`;
const provider = new Provider(issuer, {
    jwks: JSON.parse(fs.readFileSync(file)),
    clients: [
        { client_id: 'tenants', client_secret: 'a-secret-of-the-client', redirect_uris: ['alpha', 'beta'].map(callback), id_token_signed_response_alg: 'RS256' },
        { client_id: 'robot', client_secret: 'a-secret-of-the-robot', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    ],
    pkce: { required: () => true },
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'groups'] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@example.org`, groups: groups(id) }) }),
    extraTokenClaims: () => ({ groups: ['alpha-robots'] }),
    features: {
        clientCredentials: { enabled: true },
        resourceIndicators: {
            enabled: true,
            defaultResource: () => undefined,
            getResourceServerInfo: (_, resource) => ({ scope: '', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'ES256' } } }),
        },
    },
    cookies: { keys: ['a', 'b'] },
});
provider.listen(Number(port), '127.0.0.1');
