# The configuration of the guide to Security Hub's EC2.18, as it is there: groups that name each other.
# The web servers.
resource "aws_security_group" "web" {
  name        = "${var.environment}-web-sg"
  description = "Security group for web servers"
  vpc_id      = var.vpc_id
  # HTTPS
  ingress {
    description = "HTTPS from trusted sources"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = var.allowed_https_cidrs
  }
  # HTTP
  ingress {
    description = "HTTP from trusted sources"
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = var.allowed_http_cidrs
  }
  # Everything out.
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
  tags = merge(
    {
      Name        = "${var.environment}-web-sg"
      Environment = var.environment
    },
    var.additional_tags
  )
}
# The application servers.
resource "aws_security_group" "app" {
  name        = "${var.environment}-app-sg"
  description = "Security group for application servers"
  vpc_id      = var.vpc_id
  # From the web servers only.
  ingress {
    description     = "Access from web servers"
    from_port       = var.app_port
    to_port         = var.app_port
    protocol        = "tcp"
    security_groups = [aws_security_group.web.id]
  }
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
  tags = merge(
    {
      Name        = "${var.environment}-app-sg"
      Environment = var.environment
    },
    var.additional_tags
  )
}
# The databases.
resource "aws_security_group" "db" {
  name        = "${var.environment}-db-sg"
  description = "Security group for databases"
  vpc_id      = var.vpc_id
  # From the application servers only.
  ingress {
    description     = "Access from application servers"
    from_port       = var.db_port
    to_port         = var.db_port
    protocol        = "tcp"
    security_groups = [aws_security_group.app.id]
  }
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
  tags = merge(
    {
      Name        = "${var.environment}-db-sg"
      Environment = var.environment
    },
    var.additional_tags
  )
}
# Management (bastion hosts).
resource "aws_security_group" "management" {
  name        = "${var.environment}-management-sg"
  description = "Security group for management access"
  vpc_id      = var.vpc_id
  # SSH, from certain addresses only.
  ingress {
    description = "SSH from trusted IPs"
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = var.allowed_management_cidrs
  }
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
  tags = merge(
    {
      Name        = "${var.environment}-management-sg"
      Environment = var.environment
    },
    var.additional_tags
  )
}
