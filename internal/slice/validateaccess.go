package slice

import (
	"net/url"
)

// Validate lists every wrong field of the tenant.
func (t *Tenant) Validate() error {
	c := checking(KindTenant)
	t.check(c, KindTenant)
	c.must(t.Name != "*", "name", t.Name, nameAllowed)
	c.text("displayName", t.DisplayName, 253)
	c.whole("maxSlices", int64(t.MaxSlices), 0, 1<<31)
	return c.err()
}

// Validate lists every wrong field of the key's record. A system-admin key
// acts for all tenants, an oss key for at least one, the others for one.
func (k *APIKey) Validate() error {
	c := checking(KindAPIKey)
	k.check(c, KindAPIKey)
	c.oneOf("role", string(k.Role), false, string(SystemAdmin), string(OSS),
		string(TenantAdmin), string(TenantOperator), string(TenantViewer))
	c.set("tenantIds", k.Tenants, 10_000, func(at, v string) { c.ref(at, v, false) })
	switch k.Role {
	case SystemAdmin:
		c.must(len(k.Tenants) == 0, "tenantIds", k.Tenants, "none: a system-admin key acts for all tenants")
	case OSS:
		c.must(len(k.Tenants) > 0, "tenantIds", "", "at least one tenant for an oss key")
	case TenantAdmin, TenantOperator, TenantViewer:
		c.must(len(k.Tenants) == 1, "tenantIds", k.Tenants, "exactly one tenant for a tenant's key")
	}
	// Neither prefix nor hash is told: they are not the caller's to give.
	c.must(len(k.Prefix) <= 64, "prefix", "", "at most 64 characters")
	c.must(k.Hash == "" || sha256Hex.MatchString(k.Hash), "hash", "", "64 hexadecimal digits")
	return c.err()
}

// Validate lists every wrong field of the secret's readable part.
func (s *Secret) Validate() error {
	c := checking(KindSecret)
	s.check(c, KindSecret)
	c.whole("version", s.Version, 0, maxQuantity)
	c.whole("size", int64(s.Size), 0, 1<<20)
	c.ref("ownerId", s.Owner, true)
	return c.err()
}

// Validate lists every wrong field of the webhook. Whether the address may be
// called at all (private ranges) is not asked here.
func (s *Subscription) Validate() error {
	c := checking(KindSubscription)
	s.check(c, KindSubscription)
	c.url("callbackUri", s.CallbackURI, "http", "https")
	c.text("filter", s.Filter, 4096)
	s.Auth.check(c, "authentication")
	c.state(s.State)
	return c.err()
}

func (a *CallbackAuth) check(c *checks, at string) {
	if a == nil {
		return
	}
	c.must(len(a.AuthType) > 0, at+"/authType", "", "at least one of BASIC, OAUTH2_CLIENT_CREDENTIALS, TLS_CERT")
	c.ref(at+"/secretRef", a.SecretRef, true)
	c.set(at+"/authType", a.AuthType, 3, func(f, v string) {
		c.oneOf(f, v, false, "BASIC", "OAUTH2_CLIENT_CREDENTIALS", "TLS_CERT")
		if v == "BASIC" {
			c.nonEmpty(at+"/userName", a.UserName, 253)
		}
		if v == "OAUTH2_CLIENT_CREDENTIALS" {
			c.nonEmpty(at+"/clientId", a.ClientID, 253)
			c.url(at+"/tokenEndpoint", a.TokenEndpoint, "http", "https")
		}
		c.must(a.SecretRef != "", at+"/secretRef", "", "the secret that "+v+" authenticates with")
	})
}

// url requires an absolute URL of one of the schemes, without credentials in
// it. A URL with credentials is not told back.
func (c *checks) url(field, v string, schemes ...string) {
	if len(v) > 2048 {
		c.wrong(field, "", "an absolute URL of at most 2048 bytes")
		return
	}
	u, err := url.Parse(v)
	if err == nil && u.User != nil {
		c.wrong(field, "", "a URL without user or password in it")
		return
	}
	if err != nil || u.Host == "" || u.Hostname() == "" {
		c.wrong(field, v, "an absolute URL, scheme://host[:port]/path")
		return
	}
	c.oneOf(field, u.Scheme, false, schemes...)
}
