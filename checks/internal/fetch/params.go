package fetch

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// Auth is how a request proves who asks, as a section of a check's parameters. The zero value proves nothing.
type Auth struct {
	Bearer  checks.Secret            `jsonschema_description:"A token, sent as Authorization: Bearer." yaml:"bearer"`
	Basic   Basic                    `jsonschema_description:"A user and password, sent as Authorization: Basic." yaml:"basic"`
	Headers map[string]checks.Secret `jsonschema_description:"Headers whose whole values are secrets, by name: {X-Api-Key: {env: APP_KEY}}." yaml:"headers"`
}

// Basic is a user and a password.
type Basic struct {
	Username string        `jsonschema_description:"The user, which is no secret." yaml:"username"`
	Password checks.Secret `jsonschema_description:"The password, by reference." yaml:"password"`
}

// TLS is how an exchange trusts and is trusted, as a section of a check's parameters. The zero value is the agent's own way.
type TLS struct {
	CAFile     string `jsonschema_description:"PEM file of authorities to trust beside the system's." yaml:"ca_file"`
	ServerName string `jsonschema_description:"The name that the certificate must say. Default: the URL's host." yaml:"server_name"`
	CertFile   string `jsonschema_description:"PEM file of our certificate, read at each run." yaml:"cert_file"`
	KeyFile    string `jsonschema_description:"PEM file of our key, read at each run." yaml:"key_file"`
}

// Validate checks the section that stands at path.
func (a Auth) Validate(path string) error {
	var errs []error
	bad := func(at, format string, args ...any) { errs = append(errs, checks.Invalid(path+at, format, args...)) }
	basic := a.Basic.Username != "" || !a.Basic.Password.IsZero()
	switch {
	case !a.Bearer.IsZero() && basic:
		bad("", "bearer and basic are both given, want one")
	case basic && (a.Basic.Username == "" || a.Basic.Password.IsZero()):
		bad(".basic", "username and password go together, one is missing")
	case strings.Contains(a.Basic.Username, ":") || !httpguts.ValidHeaderFieldValue(a.Basic.Username):
		bad(".basic.username", "a user that holds a colon or control characters cannot be sent")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			bad(".headers", "%q is not a header name", name)
		case a.Headers[name].IsZero():
			bad(".headers", "%q has no source, want {env: …}, {file: …} or {credential: …}", name)
		case reserved(name):
			bad(".headers", "%q is set by the agent itself", name)
		case http.CanonicalHeaderKey(name) == "Authorization" && (basic || !a.Bearer.IsZero()):
			bad(".headers", "%q is given twice", name)
		}
	}
	return errors.Join(errs...)
}

// Validate checks the section that stands at path. It opens no file.
func (t TLS) Validate(path string) error {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return checks.Invalid(path, "cert_file and key_file go together, one is missing")
	}
	return nil
}

// ValidHeaders checks headers that are not secret, which stand at path.
func ValidHeaders(path string, headers map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		switch {
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(headers[name]):
			errs = append(errs, checks.Invalid(path, "%q is not a header that can be sent", name))
		case reserved(name):
			errs = append(errs, checks.Invalid(path, "%q is set by the agent itself", name))
		case slices.Contains([]string{"Authorization", "Proxy-Authorization", "Cookie"}, http.CanonicalHeaderKey(name)):
			errs = append(errs, checks.Invalid(path, "%q is a credential, which is given by reference in auth", name))
		}
	}
	return errors.Join(errs...)
}

func reserved(name string) bool {
	own := []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Accept-Encoding"}
	return slices.Contains(own, http.CanonicalHeaderKey(name))
}

// ValidURL checks the URL that stands at path: http or https, with a host, without credentials.
func ValidURL(path, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return checks.Invalid(path, "not an http or https URL, want for example http://127.0.0.1:8080/health")
	case u.User != nil:
		return checks.Invalid(path, "it holds a user or password, which belong in auth, by reference")
	case u.Fragment != "":
		return checks.Invalid(path, "it has a fragment, which is never sent")
	}
	return nil
}

func (t TLS) own() *outbound.TLS {
	if t == (TLS{}) {
		return nil
	}
	own := outbound.TLS(t)
	return &own
}

// secrets are the credentials that are given.
func (a Auth) secrets() []checks.Secret {
	var all []checks.Secret
	for _, s := range []checks.Secret{a.Bearer, a.Basic.Password} {
		if !s.IsZero() {
			all = append(all, s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		all = append(all, a.Headers[name])
	}
	return all
}

func (a Auth) given() bool { return len(a.secrets()) > 0 }

// header puts the credentials beside the caller's headers. secrets are the values that were read, also with an error.
func (a Auth) header(ctx context.Context, given http.Header) (header http.Header, secrets []string, err error) {
	header = given.Clone()
	if header == nil {
		header = http.Header{}
	}
	set := func(name, value, secret string) {
		header.Set(name, value)
		secrets = append(secrets, secret)
	}
	if !a.Bearer.IsZero() {
		token, err := credential.Token(ctx, a.Bearer)
		if err != nil {
			return nil, secrets, err
		}
		set("Authorization", "Bearer "+token, token)
	}
	if !a.Basic.Password.IsZero() {
		password, err := credential.Text(ctx, a.Basic.Password)
		if err != nil {
			return nil, secrets, err
		}
		both := base64.StdEncoding.EncodeToString([]byte(a.Basic.Username + ":" + password))
		set("Authorization", "Basic "+both, password)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		value, err := credential.Text(ctx, a.Headers[name])
		if err != nil {
			return nil, secrets, err
		}
		set(name, value, value)
	}
	return header, secrets, nil
}

// renew reads every credential again and says what came of the one that tells most.
func (a Auth) renew(ctx context.Context) string {
	said := ""
	for _, s := range a.secrets() {
		if text := credential.Renew(ctx, s); said == "" || strings.Contains(text, "new value") {
			said = text
		}
	}
	return said
}
