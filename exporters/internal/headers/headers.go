// Package headers checks the headers that a configuration gives an exporter, in plain text and as secrets. It reads no
// secret.
package headers

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"

	"github.com/windsock-monitor/windsock/checks"
)

// Validate checks the parameters `headers` and `secret_headers`. own says which headers, in canonical form, are the
// exporter's.
func Validate(plain map[string]string, secret map[string]checks.Secret, own func(name string) bool) error {
	var errs []error
	seen := map[string]bool{}
	check := func(path, name string) {
		if !httpguts.ValidHeaderFieldName(name) {
			errs = append(errs, checks.Invalid(path, "%q is not a header name", name))
		}
		if key := http.CanonicalHeaderKey(name); seen[key] || own(key) {
			errs = append(errs, checks.Invalid(path, "header %q is given twice or is the exporter's own", name))
		}
		seen[http.CanonicalHeaderKey(name)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		check("headers", name)
		if !httpguts.ValidHeaderFieldValue(plain[name]) {
			errs = append(errs, checks.Invalid("headers", "the value of %q holds characters that no header can carry", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secret)) {
		check("secret_headers", name)
		if secret[name].IsZero() {
			errs = append(errs, checks.Invalid("secret_headers", "%q has no source, want {env: …}, {file: …} or {credential: …}", name))
		}
	}
	return errors.Join(errs...)
}
