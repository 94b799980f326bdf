"""Prowler, unmodified, with the libraries that its checks of AWS use.

When it starts it imports those of every other cloud that it knows. They are a gigabyte, and nothing here calls them: empty
modules stand in for them. A library that is not one of these and is missing is an error, as ever.
"""

import importlib.abc
import importlib.machinery
import sys
import types

OTHERS = (
    "Tea", "alibabacloud", "azure", "cloudflare", "darabonba", "dulwich", "github", "google", "googleapiclient", "httplib2",
    "huaweicloudsdk", "kiota", "kubernetes", "linode_api4", "msal", "msgraph", "oci", "okta", "openstack", "pymongo",
    "scaleway", "shodan", "slack_sdk", "stackit",
)


class Nothing(type):
    """A class that has whatever is asked of it: classes of nothing."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing(name, (), {})


class Empty(types.ModuleType):
    """A module of classes of nothing."""

    __path__ = []
    __getattr__ = Nothing.__getattr__


class Others(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the libraries of other clouds, after everything that is installed."""

    def find_spec(self, name, path, target=None):
        is_other = name.partition(".")[0].startswith(OTHERS)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if is_other else None

    def create_module(self, spec):
        return Empty(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.append(Others())
# Not before: what it imports must find them.
from prowler.__main__ import prowler  # noqa: E402

sys.exit(prowler())
