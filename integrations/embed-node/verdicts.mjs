// What a policy answers to vectors, in Node: node verdicts.mjs policy.wasm vectors.json
// Needs @bytecodealliance/jco-transpile, the part of jco that makes JavaScript of a component.
import { readFileSync } from 'node:fs';
import { transpile } from '@bytecodealliance/jco-transpile';

const options = { name: 'policy', instantiation: 'sync', noComponentErrorWrapping: true };
const { files } = await transpile(process.argv[2], options);
const core = new WebAssembly.Module(files['policy.core.wasm']);
const source = Buffer.from(files['policy.js']).toString('base64');
const { instantiate } = await import(`data:text/javascript;base64,${source}`);
const instance = () => instantiate(() => core, {}); // one for each login: its memory is never given back

const url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const attempt = ({ token, header, payload, mechanism, message, response, mailbox, protocol = 'imap' }) => {
  token ??= header && `${url(header)}.${url(payload)}.${'A'.repeat(342)}`;
  response ??= message && Buffer.from(message.replaceAll('{token}', token ?? '')).toString('base64');
  const credentials = mechanism
    ? { tag: 'sasl', val: { mechanism, response: Buffer.from(response) } }
    : { tag: 'bearer', val: Buffer.from(token) };
  return { credentials, mailbox, protocol };
};
const evidence = (asked, { introspection = 'unavailable', mailboxes = [] }) => {
  const active = introspection.active;
  const val = active && { subject: active.subject, session: active.session, authorizedParty: active.authorized_party,
    expiresAt: active.expires_at === undefined ? undefined : BigInt(active.expires_at) };
  const told = active ? { tag: 'active', val } : { tag: introspection };
  return { introspection: asked === 'never' ? { tag: 'not-asked' } : told,
    mailboxes: mailboxes.map((mailbox) => ({ persons: 1, ...mailbox })) };
};
const text = ({ tag, val }) => (tag === 'allow' && val ? `allow ${val.mailboxes.sort().join(' ')}` : val ? `${tag} ${val}` : tag);

const vectors = JSON.parse(readFileSync(process.argv[3]));
const settings = instance().manifest.configure(JSON.stringify(vectors.settings));
for (const vector of vectors.logins) {
  const { login } = instance();
  const now = BigInt(vector.now);
  let verdict;
  try {
    const inquiry = login.open(settings, attempt(vector), now);
    // Here a real host verifies the signature with the issuer's key, and gives up where it does not hold.
    verdict = login.decide(settings, inquiry, evidence(inquiry.introspect, vector), now);
  } catch (refusal) {
    if (!refusal.reason) throw refusal; // a trap: no answer
    verdict = { tag: 'deny', val: refusal.reason };
  }
  console.log(`${vector.name}\t${text(verdict)}`);
}
for (const { name, expect, recipient_in_trust_space: recipientInTrustSpace, ...message } of vectors.submissions ?? []) {
  const mailboxes = (message.mailboxes ?? []).map((mailbox) => ({ aliases: [], ...mailbox }));
  const request = { sender: '', recipients: 0, encryption: 'tls13', ...message, recipientInTrustSpace, mailboxes,
    size: BigInt(message.size ?? 0) };
  console.log(`${name}\t${text(instance().submission.judge(settings, request))}`);
}
const seconds = (value) => (value === undefined ? undefined : BigInt(value));
for (const { name, now, certificate: given, mailbox } of vectors.certificates ?? []) {
  const facts = { units: [], chain: 'production', revocation: 'good', ...given };
  const request = {
    certificate: { units: facts.units, commonName: facts.common_name, issuer: facts.issuer, fingerprint: facts.fingerprint,
      notBefore: seconds(facts.not_before), notAfter: seconds(facts.not_after), chain: facts.chain,
      mailboxDomains: facts.mailbox_domains ?? [], revocation: facts.revocation },
    mailbox: mailbox && { address: mailbox.address, kind: mailbox.kind, structures: mailbox.structures ?? [],
      commonNames: mailbox.common_names ?? [], issuers: mailbox.issuers ?? [], fingerprints: mailbox.fingerprints ?? [] },
  };
  console.log(`${name}\t${text(instance().certificate.judge(settings, request, BigInt(now)))}`);
}
