package manifest

import "github.com/windsock-monitor/windsock/checks"

// Params are the parameters of a check or an exporter of a plugin, as the file gives them.
type Params struct {
	JSON    []byte                   // an object, in which a credential is {"secret": NAME}; nil where the file gives none
	Secrets map[string]checks.Secret // those that JSON refers to, by NAME
}

// Config is the parameters as they go to the plugin.
func (p Params) Config() []byte {
	if len(p.JSON) == 0 {
		return []byte("{}")
	}
	return p.JSON
}
