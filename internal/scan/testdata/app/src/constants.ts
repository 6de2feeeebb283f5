export const BUILD = "2c05bdf9b3476c3d3b92dc79b89dc75bdd009fc5";
export const TENANT_ID = "7d1f3c52-9b0e-4c6a-8a57-2f4be1d09c33";
export const PIXEL = "data:image/png;base64,iVBORw0KGgohemwdGXfHpHLs3nrwIlGI2Usm2LTuzIqORNMptc0iNFZgAcG7g9aVngfLiEtkqfyAIMbLmrOQYnTBSoZ";
export const API_KEY_HEADER = "x-orders-api-key-2026";
export const nextPageToken = "mhFGEOKp6BicUkNlyf2U9kLli8HQUCSnIjxYwyGgwRd1";
export const maxTokens = 4096;
export const modelPrefix = "mistral-";
