package notify

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// SafeURL refuses a URL over which a secret would go in clear text to another host, and what is no URL. Its error holds
// nothing of it.
func SafeURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http"):
		return errors.New("not a URL, want https://…")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("a secret would go over http, want https://…")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}
