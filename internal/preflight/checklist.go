package preflight

// The items, by the names that attestations give them.
const (
	itemConfig       = "config"
	itemEnvironment  = "environment"
	itemAttestations = "attestations"
	itemPrimary      = "keys.primary"
	itemFallback     = "keys.fallback"
	itemScope        = "keys.scope"
	itemStagingKey   = "keys.staging"
	itemHardCoded    = "code.secrets"
	itemModels       = "code.models"
	itemMaxTokens    = "code.max_tokens"
	itemTemperature  = "code.temperature"
	itemTypecheck    = "code.typecheck"
	itemTest         = "code.test"
	itemLog          = "log.hygiene"
	itemHeadroom     = "limits.headroom"
	itemBudget       = "limits.budget"
	itemP1           = "alerts.p1"
	itemP2           = "alerts.p2"
	itemHealth       = "app.health"
	itemErrors       = "app.errors"
	itemRefused      = "staging.401"
	itemLimited      = "staging.429"
	itemServer       = "staging.500"
	itemTimeout      = "staging.timeout"
	itemFallbackUsed = "staging.fallback"
	itemSilent       = "staging.secrets"
	itemRunbook      = "documents.runbook"
	itemRotation     = "documents.rotation"
	itemRollback     = "documents.rollback"
	itemEscalation   = "documents.escalation"
	itemLimits       = "documents.limits"
)

// line is an item before anything is known.
type line struct{ id, section, title string }

// checklist is all items in their order. Staging's key is compared where production is deployed to.
func checklist(production bool) []line {
	all := []line{
		{itemConfig, "configuration", "there is a configuration"},
		{itemEnvironment, "configuration", "it is that of the environment"},
		{itemAttestations, "configuration", "attestations can be used"},
		{itemPrimary, "keys", "the primary key is accepted"},
		{itemFallback, "keys", "the fallback key is accepted, and another one"},
		{itemScope, "keys", "every model can be used"},
	}
	if production {
		all = append(all, line{itemStagingKey, "keys", "it is not the key of staging"})
	}
	return append(all, []line{
		{itemHardCoded, "code", "no key stands in the sources"},
		{itemModels, "code", "models are pinned, or float deliberately"},
		{itemMaxTokens, "code", "max_tokens is set on each call"},
		{itemTemperature, "code", "temperature is set on each call"},
		{itemTypecheck, "code", "the types are right"},
		{itemTest, "code", "the tests pass"},
		{itemLog, "log", "neither question nor key is logged"},
		{itemHeadroom, "limits", "the rate limits leave room"},
		{itemBudget, "limits", "a budget bounds what probes spend"},
		{itemP1, "alerts", "alerts of P1 reach somebody"},
		{itemP2, "alerts", "alerts of P2 reach somebody"},
		{itemHealth, "application", "the health route conforms"},
		{itemErrors, "application", "error pages show neither key nor stack trace"},
		{itemRefused, "staging", "a refused key is not tried again and again"},
		{itemLimited, "staging", "Retry-After of a 429 is honoured"},
		{itemServer, "staging", "errors are retried with a backoff"},
		{itemTimeout, "staging", "silence is cut short"},
		{itemFallbackUsed, "staging", "there is a fallback, and it is used"},
		{itemSilent, "staging", "its errors show neither key nor stack trace"},
		{itemRunbook, "documents", "the runbook is there, and fresh"},
		{itemRotation, "documents", "key rotation is described, and fresh"},
		{itemRollback, "documents", "rollback is described, and fresh"},
		{itemEscalation, "documents", "escalation is described, and fresh"},
		{itemLimits, "documents", "the limits are written down, and fresh"},
	}...)
}

func ids(production bool) []string {
	var all []string
	for _, l := range checklist(production) {
		all = append(all, l.id)
	}
	return all
}
