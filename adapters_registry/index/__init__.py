"""The index of versions and aliases in SQL: tables, statements, transactions. Holds no rule."""
