"""Whether a document is for an organisation, as its recipient can tell: by the directory that it knows."""

from datetime import datetime, time

from axis.core.addressing import LOCAL_TIME, OrganisationCode
from axis.core.directory import Directory
from axis.core.envelope import Header
from axis.errors import Refused


def is_recipient(
    owner: OrganisationCode, header: Header, directory: Directory, since: datetime, until: datetime
) -> bool:
    """Tell whether a recipient of the header means the organisation.

    The router asked at the moment of submission, which a recipient does not know; so it is asked at the moments between
    signing and delivery at which the answer may differ.

    Args:
        owner: the organisation.
        header: the signed header.
        directory: who exists. It has no history of its named groups: they are taken as they are in it.
        since: no later than the signing.
        until: when it was delivered.
    """
    moments = _moments(owner, directory, min(since, until), until)
    for recipient in header.recipients:
        if recipient == owner:
            return True
        try:
            if any(owner in directory.resolve(recipient, header.sender, at) for at in moments):
                return True
        except Refused:
            continue  # another recipient of the list that this directory does not know
    return False


def names_group(header: Header) -> bool:
    """Tell whether a recipient of the header is a group, be it one that no directory here knows."""
    return any(recipient.startswith("@") for recipient in header.recipients)


def _moments(
    owner: OrganisationCode, directory: Directory, since: datetime, until: datetime
) -> list[datetime]:
    """Return moments of a period; if a group means the owner at all within it, it does so at one of them."""
    moments = [since, until]
    if owner in directory:
        begins = datetime.combine(directory.get(owner).valid_from, time(), LOCAL_TIME)
        moments += [begins] if since < begins < until else []
    return moments
