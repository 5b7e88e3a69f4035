"""The two Instagram dialects that most providers pass on: the mobile API (v1) and web GraphQL (web)."""
