package datadog

// ServiceCheck is the name of the service check that says how each check stands.
const ServiceCheck = serviceCheck

// Tag is key:value as this exporter sends it, cleaned as Datadog would; "" where there is no value.
func Tag(key, value string) string { return tag(key, value) }
