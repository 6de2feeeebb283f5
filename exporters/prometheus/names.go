package prometheus

// LabelName is the label of an attribute in Prometheus; "" for what Prometheus keeps for itself or cannot use.
func LabelName(key string) string { return labelName(key) }
