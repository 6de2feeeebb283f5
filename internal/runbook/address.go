package runbook

import (
	"regexp"
	"strings"
)

// What the pages are written with, and what stands in their commands where the team has another address for the provider.
const (
	globalAPI  = "https://api.mistral.ai"
	globalHost = "api.mistral.ai"
)

// plainAddress has scheme, host, port and path of an address that stands in a shell, within quotes and without, as it is.
var plainAddress = regexp.MustCompile(`^(https?)://([A-Za-z0-9.-]+)(:[0-9]{1,5})?((?:/[A-Za-z0-9._-]+)*)/?$`)

// addressed is the page with the address at which the team asks the provider: to look at another one would tell nothing.
func (s Setting) addressed(p Page) Page {
	found := plainAddress.FindStringSubmatch(s.API)
	if found == nil {
		return p
	}
	scheme, host, port, path := found[1], found[2], found[3], found[4]
	api := scheme + "://" + host + port + path
	if port == "" {
		port = map[string]string{"http": ":80", "https": ":443"}[scheme]
	}
	put := strings.NewReplacer(globalAPI, api, globalHost+":443", host+port, globalHost, host).Replace
	return p.rewritten(put)
}

// asked is the page with the address at which the application is asked, where that is known.
func (s Setting) asked(p Page) Page {
	if s.Application == "" {
		return p
	}
	return p.rewritten(strings.NewReplacer("APPLICATION_URL", word(s.Application)).Replace)
}

// rewritten is the page with what put makes of each command.
func (p Page) rewritten(put func(string) string) Page {
	for i := range p.Actions {
		p.Actions[i].Command = put(p.Actions[i].Command)
	}
	for i := range p.Commands {
		p.Commands[i].Line = put(p.Commands[i].Line)
	}
	for i := range p.Mitigations {
		m := &p.Mitigations[i]
		m.What, m.Command, m.Revert = put(m.What), put(m.Command), put(m.Revert)
	}
	for i := range p.Items {
		p.Items[i] = put(p.Items[i])
	}
	return p
}
