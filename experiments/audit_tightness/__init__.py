"""How much of a claimed epsilon does the audit of a mechanism show?"""
