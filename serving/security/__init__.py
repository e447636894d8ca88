"""Who may do what: keys, roles, tenants, limits, and the record of what was done."""

from serving.security.principal import ANYONE, Principal, Role, need, need_service, need_tenant

__all__ = ["ANYONE", "Principal", "Role", "need", "need_service", "need_tenant"]
