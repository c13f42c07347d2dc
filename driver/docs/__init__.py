"""The pages that are made from declarations: ops and layers, the support matrix, the zoo."""
